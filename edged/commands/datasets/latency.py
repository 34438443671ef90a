"""`edged datasets latency`: quantiles of a task's latencies, by arm and by day, within 1 %."""

from typing import Any

import orjson
import typer

from edged.commands.datasets.stats import report_of
from edged.commands.datasets.window import AsJson, Days, Task, open_task
from edged.commands.settings import Config, DataDir, refused
from edged.datasets.latencies import QUANTILES
from edged.errors import LogUnreadable

_COLUMNS = ("count", "min", *QUANTILES, "max")


def latency(
    task: Task,
    days: Days = 7,
    as_json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show quantiles of latency in ms, from receipt to the log; sketches, right within 1 %."""
    layout = open_task(task, config, data_dir)
    try:
        counted = report_of(layout, task, days)
    except (OSError, LogUnreadable) as error:
        raise refused(error) from error
    report = {
        **{name: counted[name] for name in ("task", "days", "since", "latency_ms")},
        "arms": [_of(arm, "version", "arm") for arm in counted["arms"]],
        "by_day": [_of(day, "date") for day in counted["by_day"]],
    }
    typer.echo(orjson.dumps(report) if as_json else _in_words(report))


def _of(counts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: counts[name] for name in (*names, "latency_ms")}


def _in_words(report: dict[str, Any]) -> str:
    rows = [("all", report["latency_ms"])]
    rows += [(f"v{arm['version']} {arm['arm']}", arm["latency_ms"]) for arm in report["arms"]]
    rows += [(day["date"], day["latency_ms"]) for day in report["by_day"]]
    head = f"{report['task']:<16}" + "".join(f"{name:>10}" for name in _COLUMNS) + "   ms"
    return "\n".join([head, *(_row(name, values) for name, values in rows)])


def _row(name: str, latency_ms: dict[str, Any]) -> str:
    cells = (f"{latency_ms.get(column, '-'):>10}" for column in _COLUMNS)
    return f"{name:<16}" + "".join(cells)
