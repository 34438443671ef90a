"""Be offline for seven days, come back, and catch up at home's pace while callers notice nothing.

Runs in: scripts/chaos offline. Talks to: processes it started, on loopback. Never: waits for days.

The week passes on the wall clock of the edge's own processes (scripts/support/faketime.py): seven
times they start, serve for what they take for a day, and stop. Then they start on the true clock.
Latency with and without the catch-up is compared in interleaved pairs: cable in, cable pulled.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Any

from loopai.control.v1 import link_pb2 as wire
from loopai.controlplane import ControlPlane

from edged.agent.batches import BatchFolder
from edged.datasets.layout import Layout
from scripts.support import menu
from scripts.support.cable import Cable
from scripts.support.chaos.kill import TASK, Load, counted, publish
from scripts.support.faketime import FakedClock
from scripts.support.stack import ControlPlaneProcess, EdgeProcess, StackError, until

DAY_S = 86_400.0
WINDOW_S = 3.0
CAUGHT_UP_S = 180.0
STEP_S = 0.25  # true seconds between two moves of the clock
DISK_MB = 1
EDGE = {
    # By the monotonic clock, which is true: a batch for about each quarter of an hour of the week.
    "telemetry": {"upload_interval_sec": 0.25, "max_disk_mb": DISK_MB},
    "sampling": {"rate": 0.2},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=menu.count, default=7)
    parser.add_argument("--day-s", type=menu.amount, default=20, help="seconds that a day takes")
    parser.add_argument("--batches-per-s", type=menu.count, default=20, help="home's pace")
    parser.add_argument("--pairs", type=menu.count, default=7)
    parser.add_argument("--callers", type=menu.count, default=4)


def is_good(report: dict[str, Any]) -> bool:
    """Say whether the disk stayed bounded, all was counted, and callers noticed nothing."""
    is_bounded = report["batches_peak_bytes"] <= report["batches_limit_bytes"]
    is_whole = report["counted_home"] == report["lines"] and not report["missing"]
    is_week = report["is_oldest_first"] and report["days_logged"] > report["days"]
    is_paced = report["caught_up_batches_per_s"] <= 1.2 * report["batches_per_s"]
    return bool(is_bounded and is_whole and is_week and is_paced and report["p99_ratio"] < 1.25)


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Enrol, be away for days, come back; then measure and count."""
    pace = {"LOOPAI_LINK__BATCHES_PER_S": str(options.batches_per_s)}
    with ExitStack() as stack:
        server = stack.enter_context(ControlPlaneProcess(folder, **pace))
        home = stack.enter_context(ControlPlane(server.url, server.api_key))
        publish(folder, home)
        cable = stack.enter_context(Cable(server.link))
        edge = EdgeProcess(folder, EDGE, server, "--link", f"http://{cable.address}")
        with edge:
            until((edge.data_dir / "artifacts" / TASK / "active").exists, "the edge serves")
        cable.pull()
        week = Week(edge, folder / "faketime", options)
        week.pass_by(say)
        away = week.report()
        stack.enter_context(edge)
        load = Load(edge.grpc, callers=options.callers)
        load.start()
        stack.callback(load.stop)
        ratios = [_pair(edge, cable, load, say) for _ in range(options.pairs)]
        _plug(edge, cable)
        report = _caught_up(edge, home, load, say)
        return away | report | _latency(ratios) | {"batches_per_s": options.batches_per_s}


class Week:
    """Days that the edge's own processes go through, offline."""

    def __init__(self, edge: EdgeProcess, folder: Path, options: argparse.Namespace) -> None:
        self._edge = edge
        self._options = options
        self._clock = FakedClock(folder)
        self._layout = Layout(edge.data_dir)
        self._peak_bytes = 0
        self._answers: set[str] = set()

    def pass_by(self, say: Callable[[str], None]) -> None:
        true_python, self._edge.python = self._edge.python, self._clock.python
        for days_ago in range(self._options.days, 0, -1):
            self._clock.set_back(days_ago * DAY_S)
            with self._edge:
                self._pass_day(days_ago)
            size = self._batches.size_bytes
            say(f"{days_ago} days ago: {len(self._answers)} answers, {size} bytes of batches")
        self._edge.python = true_python

    def report(self) -> dict[str, Any]:
        logged = self._layout.log(TASK, "executions").glob("*.jsonl*")
        ids = {line["execution_id"] for line in self._edge.logged(TASK)}
        return {
            "days": self._options.days,
            "days_logged": len({path.name[: len("2026-01-01")] for path in logged}),
            "answers": len(self._answers),
            "missing": len(self._answers - ids),
            "batches": self._batches.count,
            "batches_peak_bytes": self._peak_bytes,
            "batches_limit_bytes": DISK_MB * 1024 * 1024,
            "is_oldest_first": self._are_oldest_thinned(),
        }

    @property
    def _batches(self) -> BatchFolder:
        return BatchFolder(self._layout)

    def _pass_day(self, days_ago: int) -> None:
        load = Load(self._edge.grpc, callers=self._options.callers)
        load.start()
        steps = int(self._options.day_s / STEP_S)
        for step in range(steps):
            self._clock.set_back((days_ago - step / steps) * DAY_S)
            time.sleep(STEP_S)
            self._peak_bytes = max(self._peak_bytes, _size_of(self._layout.batches))
        load.stop()
        self._answers |= set(load.ids)

    def _are_oldest_thinned(self) -> bool:
        """Say whether batches without records are all older than those that have some."""
        batches = self._batches
        has_records = [
            bool(wire.TelemetryBatch.FromString(batches.read(number)).executions)
            for number in batches.pending()
        ]
        return has_records == sorted(has_records) and len(set(has_records)) > 1


def _size_of(folder: Path) -> int:
    """Return the bytes of sealed batches; one may go while we look."""
    size = 0
    for path in folder.glob("*.batch"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def _pair(edge: EdgeProcess, cable: Cable, load: Load, say: Callable[[str], None]) -> float:
    """Return the p99 while catching up over the p99 while cut off."""
    _plug(edge, cable)
    busy_ms = _p99_ms(load)
    cable.pull()
    quiet_ms = _p99_ms(load)
    say(f"p99 {busy_ms:.2f} ms while catching up, {quiet_ms:.2f} ms while cut off")
    return busy_ms / quiet_ms


def _plug(edge: EdgeProcess, cable: Cable) -> None:
    before = len(edge.events("link_up"))
    cable.plug()
    until(lambda: len(edge.events("link_up")) > before, "the link is up again")


def _p99_ms(load: Load) -> float:
    begun_s = time.monotonic()
    time.sleep(WINDOW_S)
    times = sorted(end_s - start_s for start_s, end_s in load.calls_s if start_s >= begun_s)
    return float(times[int(len(times) * 0.99)] * 1000)


def _caught_up(
    edge: EdgeProcess, home: ControlPlane, load: Load, say: Callable[[str], None]
) -> dict[str, Any]:
    """Stop the callers, wait until home has everything, and return how fast it came."""
    load.stop()
    folder = edge.data_dir / "state" / "batches"
    waiting, begun_s = len(list(folder.glob("*.batch"))), time.monotonic()
    total = sum(1 for _ in edge.logged(TASK))
    say(f"{waiting} batches to go, {total} lines")
    try:
        until(lambda: counted(home, TASK) >= total, "all are counted", timeout_s=CAUGHT_UP_S)
    except StackError as error:
        say(str(error))  # the report shows it
    taken_s = time.monotonic() - begun_s
    [known] = home.edges()
    return {
        "lines": total,
        "counted_home": counted(home, TASK),
        "caught_up_batches_per_s": round(waiting / taken_s, 1),
        "dropped": known["dropped"],
    }


def _latency(ratios: list[float]) -> dict[str, Any]:
    return {
        "p99_ratio": round(median(ratios), 3),
        "p99_ratios": [round(ratio, 3) for ratio in ratios],
    }
