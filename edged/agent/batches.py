"""Sealed telemetry batches on disk: numbered, kept until acknowledged, never sealed twice.

A batch's file (batch_file.py) itself moves the checkpoint: whoever finds batch n goes on from its
positions. Offline the folder is bounded: the oldest batches lose their records first, which is what
fills it; their counts, a thousandth of that, go last. Whatever goes is counted in `dropped`.
Runs in: the agent. Never: holds an unacknowledged batch in memory.
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batch_file import (
    DAMAGES,
    Checkpoint,
    line_of,
    pack,
    read_checkpoint,
    read_filter,
    read_header,
    unpack,
)
from edged.datasets.layout import Layout
from edged.files import write_whole

log = structlog.get_logger()
MAX_BYTES = 256 * 1024 * 1024
NO_ROOM = "records: no room in state/batches while offline"
NO_ROOM_AT_ALL = "executions: no room in state/batches while offline"
NO_ROOM_FOR_DECISIONS = "decisions: no room in state/batches while offline"
DAMAGED = "batches: damaged on disk"


class BatchFolder:
    """state/batches and the checkpoint beside it; one instance owns them."""

    def __init__(self, layout: Layout, max_bytes: int = MAX_BYTES) -> None:
        self._folder = layout.batches
        self._checkpoint_path = layout.state / "telemetry.json"
        self._acknowledged_path = layout.state / "acknowledged.json"
        self._max_bytes = max_bytes
        self._acknowledged = asyncio.Event()
        self._numbers: list[int] | None = None  # ascending; read from the disk once
        self._sizes: dict[int, int] = {}
        self._unnoted: Checkpoint | None = None  # sealed, and not in the checkpoint's file yet
        self._thinned_up_to = 0  # batches that have no records any more
        self.dropped: Counter[str] = Counter()  # by reason, for the next batch to tell

    def open(self) -> Checkpoint:
        """Return where to go on; a batch sealed just before a kill moves the checkpoint."""
        self._folder.mkdir(parents=True, exist_ok=True)
        checkpoint = read_checkpoint(self._checkpoint_path)
        self.dropped.update(checkpoint.dropped)
        numbers = self.pending()
        if numbers and numbers[-1] > checkpoint.number:
            checkpoint = read_header(self._path(numbers[-1]))
            self.dropped.clear()  # that one told it
            self._note(checkpoint)
        return checkpoint

    def seal(self, checkpoint: Checkpoint, batch: bytes, *, filtered_by: str = "") -> None:
        """Put a batch on disk; from then on its executions are counted in it and nowhere else."""
        content = pack(checkpoint, batch, filtered_by)
        with suppress(OSError):  # if not now, at the next seal
            self._make_room(len(content))
        self._write(checkpoint.number, content)
        self._unnoted = replace(checkpoint, dropped=dict(self.dropped))
        with suppress(OSError):  # it is sealed all the same: its own file says up to where
            self._note_last()

    def replace(self, number: int, batch: bytes, *, filtered_by: str) -> None:
        """Put a batch in the place of one that was filtered less."""
        self._write(number, pack(read_header(self._path(number)), batch, filtered_by))

    def pending(self) -> list[int]:
        """Return the numbers of sealed, unacknowledged batches, oldest first."""
        return list(self._known())

    def pending_after(self, number: int, count: int) -> list[int]:
        """Return the next few of them."""
        numbers = self._known()
        start = bisect_right(numbers, number)
        return numbers[start : start + count]

    @property
    def count(self) -> int:
        return len(self._known())

    @property
    def size_bytes(self) -> int:
        self._known()
        return sum(self._sizes.values())

    def read(self, number: int) -> bytes:
        """Return a serialised TelemetryBatch.

        Raises ValueError when the file is damaged or gone, OSError when it cannot be read now.
        """
        return self.read_filtered(number)[0]

    def read_filtered(self, number: int) -> tuple[bytes, str]:
        """Return it as `read` does, and its `filtered_by`: another filter may replace both."""
        try:
            return unpack(self._path(number).read_bytes())
        except (FileNotFoundError, *DAMAGES) as error:
            raise ValueError(f"sealed batch {number} is damaged: {error}") from error

    def filtered_by(self, number: int) -> str:
        """Return the fingerprint of the filter that its records passed."""
        return read_filter(self._path(number))

    def acknowledge(self, number: int) -> None:
        """Drop every batch up to and including `number`. Raises OSError; then they stay."""
        numbers = self._known()
        end = bisect_right(numbers, number)
        self._note_last()  # before the file goes that says the same
        if end:
            write_whole(self._acknowledged_path, line_of(read_header(self._path(numbers[end - 1]))))
        for pending in numbers[:end]:
            self._remove(pending)
        del numbers[:end]
        self._acknowledged.set()

    def acknowledged(self) -> Checkpoint:
        """Return up to where home has everything."""
        return read_checkpoint(self._acknowledged_path if self._known() else self._checkpoint_path)

    def drop_damaged(self, number: int) -> None:
        """Let go of a batch that cannot be read."""
        self.drop(number, {DAMAGED: 1})

    def drop(self, number: int, lost: Mapping[str, int]) -> None:
        """Let go of a batch that cannot leave, so that the ones after it can. lost: by reason."""
        self._remove(number)
        self._known().remove(number)
        self.dropped.update(lost)

    def sealed_s(self, number: int) -> float:
        """Return when it was sealed, seconds since the epoch."""
        return self._path(number).stat().st_mtime

    async def wait_acknowledged(self, number: int) -> None:
        """Return when every batch up to and including `number` has been acknowledged."""
        while any(pending <= number for pending in self.pending()):
            self._acknowledged.clear()
            await self._acknowledged.wait()

    async def wait_empty(self) -> None:
        """Return when every sealed batch has been acknowledged."""
        while self._known():
            self._acknowledged.clear()
            await self._acknowledged.wait()

    def _make_room(self, size_bytes: int) -> None:
        """Thin the oldest batches, then let whole ones go, until one of that size fits."""
        excess = self.size_bytes + size_bytes - self._max_bytes
        numbers = self._known()
        for number in [each for each in numbers if each > self._thinned_up_to]:
            if excess <= 0:
                return
            excess -= self._thin(number)
        while excess > 0 and numbers:
            excess -= self._let_go(numbers[0])
            del numbers[0]

    def _thin(self, number: int) -> int:
        """Take the records out of a batch, but keep its counts; return the bytes that went."""
        before = self._sizes[number]
        batch = self._parsed(number)
        self._thinned_up_to = number
        lost = len(batch.executions) + len(batch.validations)
        if not lost:
            return 0
        del batch.executions[:], batch.validations[:]
        self.dropped[NO_ROOM] += lost
        self.replace(number, batch.SerializeToString(), filtered_by=self.filtered_by(number))
        return before - self._sizes[number]

    def _let_go(self, number: int) -> int:
        batch = self._parsed(number)
        lost = sum(arm.executions for arm in batch.arms)
        freed = self._remove(number)
        self.dropped += Counter({NO_ROOM_AT_ALL: lost, NO_ROOM_FOR_DECISIONS: len(batch.decisions)})
        self.dropped += Counter(dict(batch.dropped))  # what it was to tell
        log.error("batch_dropped", number=number, executions=lost, max_bytes=self._max_bytes)
        return freed

    def _remove(self, number: int) -> int:
        self._path(number).unlink(missing_ok=True)
        return self._sizes.pop(number, 0)  # asked again where the disk refused the first time

    def _parsed(self, number: int) -> wire.TelemetryBatch:
        """Return a batch; of a damaged one only that it was."""
        try:
            return wire.TelemetryBatch.FromString(self.read(number))
        except (ValueError, DecodeError):
            return wire.TelemetryBatch(dropped={DAMAGED: 1})

    def _known(self) -> list[int]:
        if self._numbers is None:
            sizes = {int(path.stem): path.stat().st_size for path in self._folder.glob("*.batch")}
            self._sizes, self._numbers = sizes, sorted(sizes)
        return self._numbers

    def _write(self, number: int, content: bytes) -> None:
        numbers = self._known()
        write_whole(self._path(number), content)
        if number not in self._sizes:
            numbers.append(number)
        self._sizes[number] = len(content)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.batch"

    def _note_last(self) -> None:
        if self._unnoted is not None:
            self._note(self._unnoted)
            self._unnoted = None

    def _note(self, checkpoint: Checkpoint) -> None:
        write_whole(self._checkpoint_path, line_of(checkpoint))
