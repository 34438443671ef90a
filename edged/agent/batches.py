"""Sealed telemetry batches on disk: numbered, kept until acknowledged, never sealed twice.

A batch file starts with one JSON line (number, positions) and holds the serialised TelemetryBatch
behind it. The file itself moves the checkpoint: whoever finds batch n goes on from its positions.
Runs in: the agent. Never: holds an unacknowledged batch in memory.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import orjson

from edged.datasets.follower import Positions
from edged.datasets.layout import Layout
from edged.files import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """number: of the last sealed batch. positions: followed up to here, by kind of log."""

    number: int
    positions: dict[str, Positions]


class BatchFolder:
    """state/batches and the checkpoint beside it."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.batches
        self._checkpoint_path = layout.state / "telemetry.json"
        self._acknowledged_path = layout.state / "acknowledged.json"
        self._acknowledged = asyncio.Event()

    def open(self) -> Checkpoint:
        """Return where to go on; a batch sealed just before a kill moves the checkpoint."""
        self._folder.mkdir(parents=True, exist_ok=True)
        checkpoint = _read(self._checkpoint_path)
        numbers = self.pending()
        if numbers and numbers[-1] > checkpoint.number:
            checkpoint = _header(self._path(numbers[-1]))
            self._note(checkpoint)
        return checkpoint

    def seal(self, checkpoint: Checkpoint, batch: bytes) -> None:
        """Put a batch on disk; from then on its executions are counted in it and nowhere else."""
        write_whole(self._path(checkpoint.number), _line(checkpoint) + batch)
        self._note(checkpoint)

    def pending(self) -> list[int]:
        """Return the numbers of sealed, unacknowledged batches, oldest first."""
        return sorted(int(path.stem) for path in self._folder.glob("*.batch"))

    def read(self, number: int) -> bytes:
        """Return a serialised TelemetryBatch."""
        return self._path(number).read_bytes().partition(b"\n")[2]

    def acknowledge(self, number: int) -> None:
        """Drop every batch up to and including `number`."""
        done = [pending for pending in self.pending() if pending <= number]
        if done:
            write_whole(self._acknowledged_path, _line(_header(self._path(done[-1]))))
        for pending in done:
            self._path(pending).unlink()
        self._acknowledged.set()

    def acknowledged(self) -> Checkpoint:
        """Return up to where home has everything."""
        return _read(self._acknowledged_path if self.pending() else self._checkpoint_path)

    def size_bytes(self, number: int) -> int:
        return self._path(number).stat().st_size

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
        while self.pending():
            self._acknowledged.clear()
            await self._acknowledged.wait()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.batch"

    def _note(self, checkpoint: Checkpoint) -> None:
        write_whole(self._checkpoint_path, _line(checkpoint))


def _line(checkpoint: Checkpoint) -> bytes:
    document = {"number": checkpoint.number, "positions": checkpoint.positions}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _read(path: Path) -> Checkpoint:
    try:
        return Checkpoint(**orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return Checkpoint(number=0, positions={})


def _header(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        return Checkpoint(**orjson.loads(file.readline()))
