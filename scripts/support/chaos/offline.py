"""Be offline for seven days, come back, and catch up at home's pace while callers notice nothing.

Runs in: scripts/chaos offline. Talks to: processes it started, on loopback. Never: waits for days.

The week passes on the clock that the log's writer and the batcher are given. They are the gateway's
and the agent's own parts, and leave behind what a week leaves; the real processes go on from there.
Latency with and without the catch-up is compared in interleaved pairs: cable in, cable pulled.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from uuid import UUID

import structlog
from loopai.control.v1 import link_pb2 as wire
from loopai.controlplane import ControlPlane

from edged.agent.batches import BatchFolder
from edged.agent.identity import log_id
from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.hashing import deployment_key
from edged.agent.privacy.making import make_filter
from edged.agent.recording import Recorder
from edged.agent.releasing import Releaser
from edged.agent.sampling import sampling_salt
from edged.agent.telemetry import Batcher
from edged.datasets.layout import Layout
from edged.datasets.records import Execution, Timestamps, render
from edged.datasets.writer import LogWriter
from edged.decisions.sampling import Sampler
from edged.deployment import Deployment
from scripts.support.cable import Cable
from scripts.support.chaos.kill import TASK, Load, counted, publish
from scripts.support.stack import ControlPlaneProcess, EdgeProcess, StackError, until

DAY_S = 86_400.0
WINDOW_S = 3.0
CAUGHT_UP_S = 180.0
DISK_MB = 1
EDGE = {"telemetry": {"upload_interval_sec": 10, "max_disk_mb": DISK_MB}}
WORDS = ("parcel", "invoice", "refund", "hello", "winner", "prize", "meeting", "table", "green")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--executions", type=int, default=250_000, help="during the days offline")
    parser.add_argument("--interval-s", type=float, default=600, help="of sealed batches meanwhile")
    parser.add_argument("--batches-per-s", type=int, default=20, help="home's pace")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--callers", type=int, default=4)


def is_good(report: dict[str, Any]) -> bool:
    """Say whether the disk stayed bounded, all was counted, and callers noticed nothing."""
    is_bounded = report["batches_peak_bytes"] <= report["batches_limit_bytes"]
    is_whole = report["counted_home"] == report["lines"] and report["is_oldest_first"]
    is_paced = report["caught_up_batches_per_s"] <= 1.2 * report["batches_per_s"]
    return bool(is_bounded and is_whole and is_paced and report["p99_ratio"] < 1.25)


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Enrol, be away for days, come back; then measure and count."""
    # The week's parts log in this process; standard output is for the report.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
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
        week = Week(edge.data_dir, options)
        asyncio.run(week.pass_by())
        say(f"{options.days:g} days: {week.batches} batches, at most {week.peak_bytes} bytes")
        stack.enter_context(edge)
        load = Load(edge.grpc, callers=options.callers)
        load.start()
        stack.callback(load.stop)
        ratios = [_pair(edge, cable, load, say) for _ in range(options.pairs)]
        _plug(edge, cable)
        report = _caught_up(edge, home, load, say)
        return week.report() | report | _latency(ratios) | {"batches_per_s": options.batches_per_s}


class Week:
    """Days on a clock of our own, written by the edge's own parts."""

    def __init__(self, data_dir: Path, options: argparse.Namespace) -> None:
        self.peak_bytes = 0
        self.batches = 0
        self.is_oldest_first = True
        self._layout = Layout(data_dir)
        self._options = options
        self._now_s: float = time.time() - options.days * DAY_S
        self._folder = BatchFolder(self._layout, DISK_MB * 1024 * 1024)
        self._random = Random(7)
        self._timestamps = Timestamps()

    async def pass_by(self) -> None:
        steps = int(self._options.days * DAY_S / self._options.interval_s)
        each = -(-self._options.executions // steps)
        writer = LogWriter(self._layout, "executions", self._clock)
        batcher = self._batcher()
        for _ in range(steps):
            writer.append(TASK, [self._line() for _ in range(each)])
            self._now_s += self._options.interval_s
            await batcher.follow()
            self.peak_bytes = max(self.peak_bytes, self._folder.size_bytes)
        batcher.flush()
        writer.close()
        self.batches = self._folder.count
        self.is_oldest_first = self._are_oldest_thinned()

    def report(self) -> dict[str, Any]:
        return {
            "days": self._options.days,
            "batches": self.batches,
            "batches_peak_bytes": self.peak_bytes,
            "batches_limit_bytes": DISK_MB * 1024 * 1024,
            "is_oldest_first": self.is_oldest_first,
        }

    def _batcher(self) -> Batcher:
        deployment = Deployment.model_validate(
            {"telemetry": EDGE["telemetry"] | {"upload_interval_sec": self._options.interval_s}}
        )
        releaser = Releaser(
            self._layout,
            make_filter(deployment, deployment_key(self._layout)),
            AuditLog(self._layout, self._clock),
        )
        sampler = Sampler(salt=sampling_salt(self._layout))
        recorder = Recorder(deployment.privacy, sampler, deployment.sampling.rate, (), self._clock)
        return Batcher(
            self._layout,
            self._folder,
            deployment.telemetry,
            releaser,
            recorder,
            log_id(self._layout),
            self._clock,
            self._clock,
        )

    def _clock(self) -> float:
        return self._now_s

    def _line(self) -> bytes:
        text = " ".join(self._random.choices(WORDS, k=20))
        execution = Execution(
            execution_id=_uuid7(self._now_s, self._random),
            task=TASK,
            version=1,
            arm="stable",
            input_json=f'{{"text":"{text}"}}'.encode(),
            output_json=b'"ham"',
            latency_ms=0.2,
        )
        return render(execution, self._timestamps.text(self._now_s))

    def _are_oldest_thinned(self) -> bool:
        """Say whether batches without records are all older than those that have some."""
        has_records = [
            bool(wire.TelemetryBatch.FromString(self._folder.read(number)).executions)
            for number in self._folder.pending()
        ]
        return has_records == sorted(has_records) and len(set(has_records)) > 1


def _uuid7(at_s: float, chance: Random) -> str:
    """Return an execution's id of that moment. Source: RFC 9562, 5.7."""
    tail = chance.getrandbits(80) & ~(0xF << 76) & ~(0x3 << 62)
    return str(UUID(int=int(at_s * 1000) << 80 | 0x7 << 76 | 0x2 << 62 | tail))


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
