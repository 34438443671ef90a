"""Follow the logs, count executions by arm, and seal counts, samples and decisions into batches.

Runs in: the agent. Talks to: three followers, the releaser, the batch folder. Never: puts a record
into a batch that did not pass the privacy filter.
"""

import asyncio
from collections.abc import Callable, Iterator

import orjson
import structlog

from edged.agent.batch_file import Checkpoint
from edged.agent.batches import BatchFolder
from edged.agent.open_batch import OpenBatch
from edged.agent.privacy.errors import Withheld
from edged.agent.recording import Recorder
from edged.agent.releasing import Releaser
from edged.datasets.follower import Chunk, Follower
from edged.datasets.forced import ForcedNotes
from edged.datasets.layout import Layout, LogKind
from edged.datasets.unlogged import UnloggedNotes
from edged.deployment.telling import Telemetry as TelemetrySettings
from edged.errors import LogUnwritable

log = structlog.get_logger()
FOLLOW_INTERVAL_S = 0.2
MAX_RECORD_BYTES = 2 * 1024 * 1024  # of samples in a batch: a quarter of the link's message limit
BACKLOG = 64  # unacknowledged batches; with more, counts alone close no batch before its age
REST_S = 1.0  # counts alone close no batch sooner after the last: each costs four fsyncs
UNLOGGED = "executions: answered without a line"
ERASED = b"{}"  # what an erasure leaves of a line in a file that is followed
KINDS: tuple[LogKind, ...] = ("executions", "validations", "decisions")


class Batcher:
    """Closes a batch by age or by size. clock: monotonic seconds; wall: seconds since the epoch."""

    def __init__(
        self,
        layout: Layout,
        folder: BatchFolder,
        settings: TelemetrySettings,
        releaser: Releaser,
        recorder: Recorder,
        log_id: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._releaser = releaser
        self._recorder = recorder
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
        self._unlogged = UnloggedNotes(layout)
        self._told = dict(checkpoint.unlogged)  # with what is in the open batch
        self._unlogged.forget_past(self._told)
        self._forced = ForcedNotes(layout)
        self._forced_told = dict(checkpoint.forced)
        self._batch = OpenBatch(clock())
        self._sealed_s = float("-inf")
        self._forgotten: set[str] = set()  # ids of executions that were erased
        self.upload_interval_s = settings.upload_interval_sec  # until home asks for another
        self.sealed = asyncio.Event()  # set whenever a batch was sealed; the link clears it

    async def run(self) -> None:
        while True:
            asked, self._asked = self._asked, []
            await self.follow()
            if asked and not self._batch.is_empty:
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
        if self._is_due:  # the disk refused it: it must not grow past a message
            self._seal()
        self._count_lost()
        for _ in self._new_chunks():
            self._seal_if_due()
            await asyncio.sleep(0)  # a long backlog must not hold up the link
        self._seal_if_due()

    def reconfigure(self, settings: TelemetrySettings) -> None:
        """Follow other settings from here on."""
        self._settings = settings
        self.upload_interval_s = settings.upload_interval_sec

    def pace(self, upload_interval_s: float) -> None:
        """Close batches at the age that home asks for; 0: at the configured one."""
        self.upload_interval_s = upload_interval_s or self._settings.upload_interval_sec

    def forget_executions(self, task: str, execution_ids: frozenset[str]) -> None:
        """Take the records of these executions out of the open batch, and let none in any more."""
        self._forgotten |= execution_ids
        self._batch.forget(task, execution_ids)

    def flush(self) -> None:
        """Take and seal everything that is in the logs now: the last act before stopping."""
        self._count_lost()
        for _ in self._new_chunks():
            self._seal_if_due()
        if not self._batch.is_empty:
            self._seal()

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
                self._batch.filters.add(self._releaser.privacy.fingerprint)
                for line in chunk.lines:
                    self._take_line(kind, line)
                follower.commit(chunk)
                yield chunk

    def _take_line(self, kind: LogKind, line: bytes) -> None:
        if line.startswith(ERASED):
            return
        try:
            self._take[kind](line)
        except Withheld as withheld:
            self._batch.dropped[f"withheld: {withheld.reason}"] += 1
        except LogUnwritable:
            self._batch.dropped[f"{kind}: the audit log cannot be written"] += 1
        except Exception:  # noqa: BLE001 whatever is wrong with a line, it must not come again
            self._batch.dropped[f"malformed {kind}"] += 1

    def _count_lost(self) -> None:
        """Count what no log tells: answered without a line, or taken unread by the size limit."""
        for run, count in self._unlogged.read().items():
            if new := max(0, count - self._told.get(run, 0)):
                self._batch.dropped[UNLOGGED] += new
                self._told[run] = count
        for kind, lines in self._forced.lines().items():
            told = self._forced_told.get(kind, 0)
            if new := lines - told if lines >= told else lines:  # fewer: its file was damaged
                self._batch.dropped[f"storage limit: {kind}"] += new
                self._forced_told[kind] = lines

    def _count(self, line: bytes) -> None:
        execution = orjson.loads(line)
        self._batch.count(execution, self._output_name(execution))
        chosen = self._recorder.chosen(execution, self._releaser.mode)
        if isinstance(chosen, str):
            self._batch.dropped[chosen] += 1
        elif chosen is not None:
            self._batch.add_execution(self._releaser.release_execution(chosen))

    def _output_name(self, execution: dict[str, object]) -> str:
        """Return the name an output is counted under; "": none, or none that can be named."""
        if execution["status"] != "success":
            return ""
        try:
            return self._releaser.output_name(execution)
        except Withheld:
            return ""

    def _add_validation(self, line: bytes) -> None:
        validation = orjson.loads(line)
        if validation["execution_id"] not in self._forgotten:
            self._batch.add_validation(self._releaser.release(validation))

    def _add_decision(self, line: bytes) -> None:
        self._batch.add_decision(self._releaser.decision(orjson.loads(line)))

    def _seal_if_due(self) -> None:
        if self._is_due:
            self._seal()
        elif self._is_old:
            self._batch.opened_s = self._clock()

    @property
    def _is_due(self) -> bool:
        batch = self._batch
        return not batch.is_empty and (self._is_old or batch.is_urgent or self._is_full)

    @property
    def _is_old(self) -> bool:
        return self._clock() - self._batch.opened_s >= self.upload_interval_s

    @property
    def _is_full(self) -> bool:
        """Say whether size closes the batch. Offline for days, counts alone wait for its age."""
        batch, size = self._batch, self._settings.batch_size
        if batch.records >= size or batch.record_bytes >= MAX_RECORD_BYTES:
            return True
        is_rested = self._clock() - self._sealed_s >= REST_S
        return batch.executions >= size and is_rested and self._folder.count < BACKLOG

    def _seal(self) -> None:
        """Raises OSError; then the batch stays open, and takes nothing more while it is due."""
        number = self.number + 1
        batch, releaser = self._batch, self._releaser
        batch.dropped.update(self._folder.dropped)
        self._folder.dropped.clear()
        positions = {str(kind): dict(f.positions) for kind, f in self._followers.items()}
        checkpoint = Checkpoint(
            number=number,
            positions=positions,
            unlogged=dict(self._told),
            forced=dict(self._forced_told),
        )
        content = batch.finished(self._log_id, number, releaser.mode, self._wall())
        filtered_by = batch.filtered_by(releaser.privacy.fingerprint)
        self._folder.seal(checkpoint, content, filtered_by=filtered_by)
        self.number = number
        log.info(
            "batch_sealed",
            number=number,
            executions=batch.executions,
            records=batch.records,
            dropped=batch.dropped.total(),
        )
        self._batch = OpenBatch(self._clock())
        self._sealed_s = self._clock()
        self.sealed.set()
        self._unlogged.forget_past(self._told)
