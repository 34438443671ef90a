"""`edged privacy preview`: what would leave of a task's last executions, to the byte.

Never: sends, or writes into the audit log; looking is not sending.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any

import orjson
import typer
from google.protobuf.json_format import MessageToDict

from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.making import make_filter
from edged.agent.records import execution_record, validation_record
from edged.agent.schemas import OutputSchemas
from edged.commands.privacy.settings import ModeOption, key_of
from edged.commands.settings import Config, DataDir, read_deployment, refused
from edged.contract.schema import JsonSchema
from edged.datasets.archives import newest_lines
from edged.datasets.layout import Layout, LogKind
from edged.errors import LoopaiError

TEXTS = ("input_json", "output_json", "oracle_output_json")  # bytes on the wire, JSON to a reader
HASHES = ("input_hash", "output_hash", "oracle_output_hash")
DAY_CHARS = len("2026-11-23")


def preview(
    task: Annotated[str, typer.Argument(help="The task's name.")],
    last: Annotated[int, typer.Option(min=1, max=1_000, help="How many executions.")] = 10,
    mode: ModeOption = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show exactly what would leave of the last executions of TASK: a JSON line each, oldest first.

    Whether one leaves at all is said by sampling and by privacy.sample_only; counts of all do.
    A record that the filter would withhold is {"execution_id": …, "withheld": REASON}.
    """
    deployment = read_deployment(config, data_dir)
    layout = deployment.storage.layout
    privacy = make_filter(deployment, key_of(layout), mode)
    schemas = OutputSchemas(layout)
    try:
        executions = list(islice(_newest(layout, task, "executions"), last))
        validations = _validations(layout, task, executions)
    except (LoopaiError, OSError) as error:
        raise refused(str(error)) from error
    if not executions:
        raise refused(f"{layout.data_dir} has no executions of {task}")
    for line in reversed(executions):
        checked = validations.get(line["execution_id"])
        shown = _shown(line, checked, privacy, schemas.of(task, line["version"]))
        sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))


def _validations(
    layout: Layout, task: str, executions: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return the newest validation of each execution that has one."""
    missing = {line["execution_id"] for line in executions}
    since = executions[-1]["timestamp"][:DAY_CHARS] if executions else ""
    found: dict[str, Mapping[str, Any]] = {}
    for line in _newest(layout, task, "validations", since):
        if line["execution_id"] in missing:
            missing.remove(line["execution_id"])
            found[line["execution_id"]] = line
        if not missing:
            break
    return found


def _newest(
    layout: Layout, task: str, kind: LogKind, since: str = ""
) -> Iterator[Mapping[str, Any]]:
    """Yield lines from the newest on, parsed."""
    for line in newest_lines(layout, task, kind, since):
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue  # not ours to repair; the follower counts it as malformed
        if isinstance(parsed, dict) and "execution_id" in parsed:
            yield parsed


def _shown(
    line: Mapping[str, Any],
    checked: Mapping[str, Any] | None,
    privacy: PrivacyFilter,
    schema: JsonSchema,
) -> dict[str, Any]:
    try:
        execution, _ = execution_record(checked or line, privacy, schema)
        record = _readable(execution)
        if checked is not None:
            record["validation"] = _readable(validation_record(checked, privacy, schema))
    except Withheld as withheld:
        return {"execution_id": line["execution_id"], "withheld": withheld.reason}
    return record


def _readable(message: Any) -> dict[str, Any]:
    """Return a record's fields as they travel, with JSON and hashes to be read."""
    fields = MessageToDict(message, preserving_proto_field_name=True)
    for name in TEXTS:
        if name in fields:
            fields[name.removesuffix("_json")] = orjson.loads(getattr(message, name))
            del fields[name]
    for name in HASHES:
        if name in fields:
            fields[name] = getattr(message, name).hex()
    return fields | {"erased": list(message.erased)}
