"""Follow the execution log from a checkpoint: the log is the queue.

Runs in: the agent. Talks to: the files that the gateway appends to. Never: consumes a line that
does not end in a newline yet, or remembers anything but the positions it was given.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edged.datasets.layout import Layout, LogKind

Positions = dict[str, int]  # "task/file" → bytes consumed, always at the end of a line
TAIL_BYTES = 512 * 1024  # about 2,000 executions
READ_BYTES = 1024 * 1024  # of one file at a time: about 4,000 executions


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one file. end: the position after them."""

    task: str
    key: str
    lines: list[bytes]
    end: int


class Follower:
    """Reads what is new in the files of one kind, of all tasks or of one, oldest file first."""

    def __init__(
        self, layout: Layout, kind: LogKind, positions: Positions, *, task: str = "*"
    ) -> None:
        self._layout = layout
        self._pattern = f"{task}/{kind}"
        self.positions = positions

    def read(self) -> Iterator[Chunk]:
        """Yield what is new by now; a chunk that is not committed comes again at the next `read`.

        What is appended meanwhile waits for the next `read`: a busy log would never let go.
        """
        for task, path, size in [(*file, file[1].stat().st_size) for file in self._files()]:
            key = f"{task}/{path.name}"
            start = self.positions.get(key, 0)
            while start < size and (chunk := _read(path, task, key, start)):
                yield chunk
                start = chunk.end

    def commit(self, chunk: Chunk) -> None:
        self.positions[chunk.key] = chunk.end

    def ends(self) -> Positions:
        """Return the positions after everything that is there now."""
        return {f"{task}/{path.name}": path.stat().st_size for task, path in self._files()}

    def tail(self) -> list[bytes]:
        """Return the last whole lines of the newest file, up to TAIL_BYTES of them."""
        files = self._files()
        if not files:
            return []
        path = files[-1][1]
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().split(b"\n")
        return lines[1:-1] if size > TAIL_BYTES else lines[:-1]

    def backlog_bytes(self) -> int:
        """Return how much is there to be read."""
        return sum(
            max(0, path.stat().st_size - self.positions.get(f"{task}/{path.name}", 0))
            for task, path in self._files()
        )

    def _files(self) -> list[tuple[str, Path]]:
        folders = sorted(self._layout.datasets.glob(self._pattern))
        return [
            (folder.parent.name, path)
            for folder in folders
            for path in sorted(folder.glob("*.jsonl"))
        ]


def _read(path: Path, task: str, key: str, start: int) -> Chunk | None:
    """Return the next whole lines of a file, or None. A line above READ_BYTES is read whole."""
    with path.open("rb") as file:
        waiting = os.fstat(file.fileno()).st_size - start
        wanted = READ_BYTES
        while waiting > 0:
            file.seek(start)
            content = file.read(wanted)
            end = content.rfind(b"\n") + 1
            if end:
                return Chunk(task, key, content[: end - 1].split(b"\n"), start + end)
            if wanted >= waiting:
                return None
            wanted *= 2
    return None
