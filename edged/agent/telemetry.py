"""Follow the logs, count executions by arm, and seal counts, samples and decisions into batches.

Runs in: the agent. Talks to: three followers, the releaser, the batch folder. Never: puts a record
into a batch that did not pass the privacy filter.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

import orjson
import structlog
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batches import BatchFolder, Checkpoint
from edged.agent.counting import ArmCount, ArmKey
from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.modes import Mode
from edged.agent.releasing import Releaser
from edged.datasets.follower import Chunk, Follower
from edged.datasets.layout import Layout, LogKind
from edged.deployment.telling import Telemetry as TelemetrySettings

log = structlog.get_logger()
FOLLOW_INTERVAL_S = 0.2
MAX_RECORD_BYTES = 2 * 1024 * 1024  # of samples in a batch: a quarter of the link's message limit
KINDS: tuple[LogKind, ...] = ("executions", "validations", "decisions")
MODES = {
    Mode.STRICT: wire.PRIVACY_MODE_STRICT,
    Mode.BALANCED: wire.PRIVACY_MODE_BALANCED,
    Mode.PERMISSIVE: wire.PRIVACY_MODE_PERMISSIVE,
}


class Batcher:
    """Closes a batch by age or by size. clock: monotonic seconds; wall: seconds since the epoch."""

    def __init__(
        self,
        layout: Layout,
        folder: BatchFolder,
        settings: TelemetrySettings,
        releaser: Releaser,
        log_id: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._releaser = releaser
        self._log_id = log_id
        self._clock = clock
        self._wall = wall
        checkpoint = folder.open()
        self.number = checkpoint.number  # of the last sealed batch
        self._asked: list[asyncio.Event] = []  # who waits for everything to be sealed
        self._followers = {
            kind: Follower(layout, kind, checkpoint.positions.get(kind, {})) for kind in KINDS
        }
        self._take = {
            "executions": self._count,
            "validations": self._add_validation,
            "decisions": self._add_decision,
        }
        self._opened_s = clock()
        self._start_batch()
        self.sealed = asyncio.Event()  # set whenever a batch was sealed; the link clears it

    async def run(self) -> None:
        while True:
            asked, self._asked = self._asked, []
            await self.follow()
            if asked and not self._is_empty:
                self._seal()
            for event in asked:
                event.set()
            await asyncio.sleep(FOLLOW_INTERVAL_S)

    async def sealed_now(self) -> None:
        """Return when all that is in the logs by now is in sealed batches; `run` does the work."""
        event = asyncio.Event()
        self._asked.append(event)
        await event.wait()

    def backlog_bytes(self) -> int:
        """Return how much of the logs is not in a batch yet."""
        return sum(follower.backlog_bytes() for follower in self._followers.values())

    async def follow(self) -> None:
        """Take what is new in the logs; seal whenever a batch is due."""
        for _ in self._new_chunks():
            self._seal_if_due()
            await asyncio.sleep(0)  # a long backlog must not hold up the link
        self._seal_if_due()

    def flush(self) -> None:
        """Take and seal everything that is in the logs now: the last act before stopping."""
        for _ in self._new_chunks():
            self._seal_if_due()
        if not self._is_empty:
            self._seal()

    def drop(self, kind: str, lines: int) -> None:
        """Tell home of lines that were deleted before they were counted."""
        self._dropped[f"storage limit: {kind}"] += lines

    def acknowledged(self, kind: str, _task: str, key: str) -> int | None:
        """Return up to where home has what a file tells; see edged.agent.retention."""
        if kind not in KINDS:
            return None
        return self._folder.acknowledged().positions.get(kind, {}).get(key, 0)

    def taken(self, kind: str, _task: str, key: str) -> int | None:
        return next(
            (f.positions.get(key, 0) for k, f in self._followers.items() if k == kind), None
        )

    def forget(self, kind: str, key: str) -> None:
        for followed, follower in self._followers.items():
            if followed == kind:
                follower.positions.pop(key, None)

    def _new_chunks(self) -> Iterator[Chunk]:
        """Yield every new chunk after its lines were taken and its end was noted."""
        for kind, follower in self._followers.items():
            for chunk in follower.read():
                for line in chunk.lines:
                    self._take_line(kind, line)
                follower.commit(chunk)
                yield chunk

    def _take_line(self, kind: LogKind, line: bytes) -> None:
        try:
            self._take[kind](line)
        except Withheld as withheld:
            self._dropped[f"withheld: {withheld.facts['reason']}"] += 1
        except (ValueError, KeyError, TypeError, AttributeError):
            self._dropped[f"malformed {kind}"] += 1

    def _count(self, line: bytes) -> None:
        execution = orjson.loads(line)
        key = execution["task"], execution["version"], execution["arm"]
        if key not in self._arms:
            self._arms[key] = ArmCount()
        self._arms[key].add(execution)
        self._records += 1

    def _add_validation(self, line: bytes) -> None:
        record = self._releaser.release(orjson.loads(line))
        self._batch.executions.append(record.execution)
        self._batch.validations.append(record.validation)
        self._records += 1
        self._bytes += record.size_bytes

    def _add_decision(self, line: bytes) -> None:
        self._batch.decisions.append(self._releaser.decision(orjson.loads(line)))
        self._is_urgent = True  # people watch a rollout; the next step waits for no minute
        self._records += 1

    def _seal_if_due(self) -> None:
        age_s = self._clock() - self._opened_s
        is_old = age_s >= self._settings.upload_interval_sec
        is_full = self._records >= self._settings.batch_size or self._bytes >= MAX_RECORD_BYTES
        if (is_old or is_full or self._is_urgent) and not self._is_empty:
            self._seal()
        elif is_old:
            self._opened_s = self._clock()

    @property
    def _is_empty(self) -> bool:
        return not (self._records or self._dropped)

    def _seal(self) -> None:
        self.number += 1
        positions = {str(kind): dict(f.positions) for kind, f in self._followers.items()}
        checkpoint = Checkpoint(number=self.number, positions=positions)
        self._folder.seal(checkpoint, self._finished_batch().SerializeToString())
        log.info("batch_sealed", number=self.number, records=self._records)
        self._start_batch()
        self.sealed.set()

    def _finished_batch(self) -> wire.TelemetryBatch:
        batch = self._batch
        batch.log_id = self._log_id
        batch.number = self.number
        batch.privacy_mode = MODES[self._releaser.mode]
        batch.sealed_at.FromNanoseconds(int(self._wall() * 1e9))
        batch.arms.extend(arm.summary(key) for key, arm in self._arms.items() if arm.executions)
        for reason, count in self._dropped.items():
            batch.dropped[reason] = count
        return batch

    def _start_batch(self) -> None:
        self._batch = wire.TelemetryBatch()
        self._arms: dict[ArmKey, ArmCount] = {}
        self._dropped: Counter[str] = Counter()
        self._records = 0
        self._bytes = 0
        self._is_urgent = False
        self._opened_s = self._clock()
