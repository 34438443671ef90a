"""Follow the execution log, count it by arm, and seal the counts into batches.

Runs in: the agent. Talks to: the follower, the batch folder. Never: puts an input or an output
into a batch; samples come with a privacy filter in front of them.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from ddsketch import DDSketch
from ddsketch.pb.proto import DDSketchProto
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batches import BatchFolder, Checkpoint
from edged.datasets.follower import Follower, Positions
from edged.datasets.layout import Layout
from edged.deployment import Telemetry as TelemetrySettings

log = structlog.get_logger()
FOLLOW_INTERVAL_S = 0.2
SKETCH_ACCURACY = 0.01  # relative: a p99 of 10 ms is told as 9.9 to 10.1
CONFIDENCE_BINS = 10

ArmKey = tuple[str, int, str]  # task, version, arm


class ArmCount:
    """Everything counted of one arm since the last batch."""

    def __init__(self) -> None:
        self.executions = 0
        self.outcomes: dict[str, int] = {}
        self.latency = DDSketch(SKETCH_ACCURACY)
        self.confidence_bins = [0] * CONFIDENCE_BINS
        self.caller_timeouts = 0

    def add(self, execution: dict[str, Any]) -> None:
        status, latency_ms = execution["status"], float(execution["latency_ms"])
        self.executions += 1
        self.outcomes[status] = self.outcomes.get(status, 0) + 1
        self.latency.add(latency_ms)
        confidence = execution.get("confidence")
        if confidence is not None:
            self.confidence_bins[min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1
        if execution.get("error", {}).get("cut_by") == "caller":
            self.caller_timeouts += 1


class Batcher:
    """Closes a batch by age or by size. clock: monotonic seconds; wall: seconds since the epoch."""

    def __init__(
        self,
        layout: Layout,
        folder: BatchFolder,
        settings: TelemetrySettings,
        log_id: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._log_id = log_id
        self._clock = clock
        self._wall = wall
        checkpoint = folder.open()
        self._number = checkpoint.number
        self._follower = Follower(layout, "executions", checkpoint.positions)
        self._arms: dict[ArmKey, ArmCount] = {}
        self._dropped: dict[str, int] = {}
        self._opened_s = clock()
        self.sealed = asyncio.Event()  # set whenever a batch was sealed; the link clears it

    async def run(self) -> None:
        while True:
            await self.follow()
            await asyncio.sleep(FOLLOW_INTERVAL_S)

    async def follow(self) -> None:
        """Count what is new in the log; seal whenever a batch is due."""
        for chunk in self._follower.read():
            for line in chunk.lines:
                self._count(line)
            self._follower.commit(chunk)
            self._seal_if_due()
            await asyncio.sleep(0)  # a long backlog must not hold up the link
        self._seal_if_due()

    def flush(self) -> None:
        """Count and seal everything that is in the log now: the last act before stopping."""
        for chunk in self._follower.read():
            for line in chunk.lines:
                self._count(line)
            self._follower.commit(chunk)
        if self._arms:
            self._seal()

    def _count(self, line: bytes) -> None:
        try:
            execution = orjson.loads(line)
            key = execution["task"], execution["version"], execution["arm"]
            self._arms.setdefault(key, ArmCount()).add(execution)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._dropped["malformed"] = self._dropped.get("malformed", 0) + 1

    def _seal_if_due(self) -> None:
        counted = sum(arm.executions for arm in self._arms.values())
        age_s = self._clock() - self._opened_s
        is_due = counted >= self._settings.batch_size or age_s >= self._settings.upload_interval_sec
        if is_due and (counted or self._dropped):
            self._seal()
        elif is_due:
            self._opened_s = self._clock()

    def _seal(self) -> None:
        self._number += 1
        positions: Positions = dict(self._follower.positions)
        checkpoint = Checkpoint(number=self._number, positions=positions)
        self._folder.seal(checkpoint, self._batch().SerializeToString())
        log.info("batch_sealed", number=self._number, arms=len(self._arms))
        self._arms, self._dropped = {}, {}
        self._opened_s = self._clock()
        self.sealed.set()

    def _batch(self) -> wire.TelemetryBatch:
        batch = wire.TelemetryBatch(log_id=self._log_id, number=self._number, dropped=self._dropped)
        batch.sealed_at.FromNanoseconds(int(self._wall() * 1e9))
        batch.arms.extend(_summary(key, arm) for key, arm in self._arms.items())
        return batch


def _summary(key: ArmKey, arm: ArmCount) -> wire.ArmSummary:
    task, version, name = key
    return wire.ArmSummary(
        task=task,
        version=version,
        arm=name,
        executions=arm.executions,
        outcomes=arm.outcomes,
        latency_sketch=DDSketchProto.to_proto(arm.latency).SerializeToString(),
        confidence_bins=arm.confidence_bins,
        caller_timeouts=arm.caller_timeouts,
    )
