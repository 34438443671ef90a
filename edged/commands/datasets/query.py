"""`edged datasets query`: SQL over a task's logs, by DuckDB.

DuckDB reads the files as they lie, archives included; encrypted ones it reads from memory, so that
nothing decrypted touches the disk. Never: writes into the data_dir.
"""

import os
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from edged.commands.datasets.window import AsJson, Days, Task, open_task, since
from edged.commands.settings import Config, DataDir, refused
from edged.datasets.archives import has_sealed_lines, read_lines, stored_files
from edged.datasets.layout import Layout, LogKind
from edged.errors import LogUnreadable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LATEST = "SELECT * FROM executions ORDER BY timestamp DESC LIMIT 20"
INTEGER_BITS = 63  # what orjson takes; DuckDB sums integers to more
_COMMON = "task VARCHAR, version INTEGER, arm VARCHAR, status VARCHAR, confidence DOUBLE"
COLUMNS: dict[LogKind, str] = {
    "executions": (
        "execution_id VARCHAR, input JSON, output JSON, latency_ms DOUBLE, timestamp TIMESTAMP, "
        f"{_COMMON}, routing_key VARCHAR, error JSON"
    ),
    "validations": (
        "id VARCHAR, execution_id VARCHAR, program_id VARCHAR, oracle_output JSON, "
        "oracle_cost DOUBLE, oracle_latency_ms DOUBLE, match BOOLEAN, similarity_score DOUBLE, "
        "comparison_method VARCHAR, validated_at TIMESTAMP, oracle VARCHAR, channel VARCHAR, "
        f"inclusion_probability DOUBLE, {_COMMON}, input JSON, output JSON, executed_at TIMESTAMP"
    ),
    "outcomes": "execution_id VARCHAR, truth JSON, timestamp TIMESTAMP, task VARCHAR",
    "decisions": (
        "decision_id VARCHAR, rollout_id VARCHAR, task VARCHAR, version INTEGER, "
        "from_phase VARCHAR, phase VARCHAR, stage INTEGER, weight DOUBLE, verdict VARCHAR, "
        "action VARCHAR, reason VARCHAR, evidence JSON, decided_at TIMESTAMP"
    ),
}


def query(
    task: Task,
    sql: Annotated[str, typer.Argument(help="A query; see below.")] = LATEST,
    days: Days = 7,
    as_json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Run SQL over the last days of TASK: tables executions, validations, outcomes, decisions.

    Inputs and outputs are JSON: `SELECT output, count(*), quantile_cont(latency_ms, 0.99) FROM
    executions WHERE input->>'country' = 'DE' GROUP BY ALL`. Needs the extra: loopai[analytics].
    """
    layout = open_task(task, config, data_dir)
    columns, rows = _fetch(layout, task, sql, since(days))
    names = _distinct([str(column[0]) for column in columns])
    if as_json:
        kinds = [str(column[1]) for column in columns]
        objects = [dict(zip(names, map(_value, kinds, row), strict=True)) for row in rows]
        document = {"columns": names, "rows": objects}
        typer.echo(orjson.dumps(document, default=str))
    else:
        typer.echo("\n".join("\t".join(map(str, row)) for row in (names, *rows)))


def _fetch(
    layout: Layout, task: str, sql: str, first: str
) -> tuple[Sequence[Sequence[Any]], list[Any]]:
    """Return the columns, name and type in front, and the rows."""
    try:
        import duckdb
    except ImportError as error:
        raise refused("query needs DuckDB: pip install 'loopai[analytics]'") from error
    try:
        with duckdb.connect() as connection:
            for kind in [kind for kind in COLUMNS if kind in sql.lower()]:
                _make_view(connection, layout, task, kind, first)
            found = connection.execute(sql)
            if found is None:
                raise refused("the query is empty")
            return found.description or [], found.fetchall()
    except (duckdb.Error, OSError, LogUnreadable) as error:
        raise refused(" ".join(str(error).split())) from error


def _make_view(
    connection: "DuckDBPyConnection", layout: Layout, task: str, kind: LogKind, first: str
) -> None:
    """Let SQL see a log under its name; lines that are none of it are left out."""
    files = [path for name, path in stored_files(layout, task, kind) if name.date >= first]
    if not files:
        connection.execute(f"CREATE TABLE {kind} ({COLUMNS[kind]})")
        return
    paths = ", ".join(_quoted(_readable(path, layout)) for path in files)
    fields = ", ".join("{}: '{}'".format(*column.split()) for column in COLUMNS[kind].split(", "))
    connection.execute(
        f"CREATE VIEW {kind} AS "  # noqa: S608 names of ours, paths quoted
        f"SELECT * FROM read_json([{paths}], format = 'newline_delimited', "
        f"columns = {{{fields}}}, ignore_errors = true, maximum_object_size = 67108864) "
        "WHERE task IS NOT NULL"
    )


def _readable(path: Path, layout: Layout) -> str:
    """Return a path that DuckDB can read: of a file with encrypted lines, one in memory."""
    if not has_sealed_lines(path):
        return str(path)
    descriptor = os.memfd_create(path.name)  # for as long as this process lives
    with os.fdopen(os.dup(descriptor), "wb") as file:
        for line in read_lines(path, layout.keyring):
            file.write(line + b"\n")
    return f"/proc/self/fd/{descriptor}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _distinct(names: list[str]) -> list[str]:
    """Number the names that come again, so that each has a place in an object."""
    distinct: list[str] = []
    for name in names:
        numbered = chain([name], (f"{name}_{number}" for number in count(1)))
        distinct.append(next(each for each in numbered if each not in distinct))
    return distinct


def _value(kind: str, value: Any) -> Any:
    """Return a value as JSON has it; DuckDB gives JSON columns as text, and takes NaN for JSON."""
    if kind != "JSON" or value is None:
        return _plain(value)
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _plain(value: Any) -> Any:
    """Return a value with texts as keys and with integers of any size."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS:
        return orjson.Fragment(str(value))
    return value
