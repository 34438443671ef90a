"""`edged datasets stats`: what a task's executions came to.

Reads the daily statistics and adds what was appended since, so the counts are exact. Never: saves.
"""

from contextlib import suppress
from typing import Any

import orjson
import typer

from edged.commands.datasets.window import AsJson, Days, Task, open_task, since
from edged.commands.settings import Config, DataDir, refused
from edged.datasets.archives import read_lines, stored_files
from edged.datasets.counting import statistics_of
from edged.datasets.forced import ForcedNotes
from edged.datasets.inventory import read_size
from edged.datasets.layout import Layout
from edged.datasets.statistics import Statistics
from edged.errors import LogUnreadable


def stats(
    task: Task,
    days: Days = 7,
    as_json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Count the executions of TASK by outcome, arm and day; show latencies and outputs."""
    layout = open_task(task, config, data_dir)
    try:
        report = report_of(layout, task, days)
    except (OSError, LogUnreadable) as error:
        raise refused(error) from error
    typer.echo(orjson.dumps(report) if as_json else in_words(report))


def report_of(layout: Layout, task: str, days: int) -> dict[str, Any]:
    """Return what the last days hold. Raises OSError or LogUnreadable."""
    first = since(days)
    by_day = statistics_of(layout, task, first)
    whole = Statistics()
    for statistics in by_day.values():
        whole.merge(statistics)
    return {
        "task": task,
        "days": days,
        "since": first,
        **without_bins(whole.as_json()),
        "by_day": [
            {"date": date, **_day(statistics)} for date, statistics in sorted(by_day.items())
        ],
        "validations": _validations(layout, task, first),
        "disk_bytes": sum(
            read_size(path) for path in layout.log(task, "executions").parent.rglob("*")
        ),
        "dropped": _dropped(layout, task),
    }


def without_bins(counts: dict[str, Any]) -> dict[str, Any]:
    """Return counts as people read them."""
    latency_ms = {name: value for name, value in counts["latency_ms"].items() if name != "bins"}
    shown = {**counts, "latency_ms": latency_ms}
    if "arms" in counts:
        shown["arms"] = [without_bins(arm) for arm in counts["arms"]]
    return shown


def in_words(report: dict[str, Any]) -> str:
    total = report["executions"]
    lines = [f"{report['task']}: {total} executions since {report['since']}"]
    lines += [f"  {status:<10} {n:>10}" for status, n in report["statuses"].items()]
    if total:
        latency_ms = report["latency_ms"]
        lines.append(f"latency    p50 {latency_ms['p50']} ms, p99 {latency_ms['p99']} ms")
    for arm in report["arms"]:
        lines.append(f"v{arm['version']} {arm['arm']:<10} {arm['executions']:>10}")
    for day in report["by_day"]:
        lines.append(f"{day['date']}   {day['executions']:>10}")
    checked = report["validations"]
    if checked["validated"]:
        lines.append(f"validated  {checked['validated']}, of which right: {checked['matched']}")
    for output, n in list(report["outputs"].items())[:10]:
        lines.append(f"  {n:>10}  {output}")
    lines.append(f"on disk    {report['disk_bytes']} bytes")
    for kind, sums in report["dropped"].items():
        lines.append(f"dropped    {sums['lines']} unread lines of {kind} by storage.max_size_gb")
    return "\n".join(lines)


def _day(statistics: Statistics) -> dict[str, Any]:
    counts = without_bins(statistics.as_json())
    return {name: counts[name] for name in ("executions", "statuses", "latency_ms")}


def _validations(layout: Layout, task: str, first: str) -> dict[str, int]:
    matches: dict[str, bool] = {}  # by id: a kill has some written twice
    for name, path in stored_files(layout, task, "validations"):
        for line in read_lines(path, layout.keyring) if name.date >= first else ():
            try:
                validation = orjson.loads(line)
                matches[validation["id"]] = bool(validation["match"])
            except (ValueError, KeyError, TypeError):
                continue
    return {"validated": len(matches), "matched": sum(matches.values())}


def _dropped(layout: Layout, task: str) -> dict[str, Any]:
    """Return what retention had to let go of unread."""
    with suppress(OSError):
        return ForcedNotes(layout).read().get(task, {})
    return {}
