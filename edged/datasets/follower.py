"""Follow the execution log from a checkpoint: the log is the queue.

Runs in: the agent. Talks to: the files that the gateway appends to. Never: consumes a line that
does not end in a newline yet, or remembers anything but the positions it was given.

Archives are not followed: a file becomes one when every follower is past it. Where lines are
encrypted and the key is missing, a file waits; a line that was damaged comes as it stands.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import structlog

from edged.datasets.layout import Layout, LogKind
from edged.datasets.naming import log_files
from edged.datasets.sealing import SEALED, Keyring, opened
from edged.errors import KeyMissing, SealedDamaged

log = structlog.get_logger()
Positions = dict[str, int]  # "task/file" → bytes consumed, always at the end of a line
TAIL_BYTES = 512 * 1024  # about 2,000 executions
READ_BYTES = 1024 * 1024  # of one file at a time: about 4,000 executions


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one file. end: the position after them. ends: after each, where encrypted."""

    task: str
    key: str
    lines: list[bytes]
    end: int
    ends: list[int] | None = None

    def with_ends(self) -> Iterable[tuple[bytes, int]]:
        """Return each line with the position from which all after it come again.

        What was encrypted together comes again together.
        """
        if self.ends is not None:
            return zip(self.lines, self.ends, strict=True)
        return self._counted()

    def _counted(self) -> Iterator[tuple[bytes, int]]:
        end = self.end - sum(map(len, self.lines)) - len(self.lines)
        for line in self.lines:
            end += len(line) + 1
            yield line, end


class Follower:
    """Reads what is new in the files of one kind, of all tasks or of one, oldest file first."""

    def __init__(
        self, layout: Layout, kind: LogKind, positions: Positions, *, task: str = "*"
    ) -> None:
        self._layout = layout
        self._pattern = f"{task}/{kind}"
        self._waiting: set[str] = set()  # keys of files that need a key, said once
        self.positions = positions

    def read(self) -> Iterator[Chunk]:
        """Yield what is new by now; a chunk that is not committed comes again at the next `read`.

        What is appended meanwhile waits for the next `read`: a busy log would never let go.
        """
        for task, path, size in self._sizes():
            key = f"{task}/{path.name}"
            if self.positions.get(key, 0) < size:
                yield from self._read_file(task, path, key, size)

    def commit(self, chunk: Chunk) -> None:
        """Go on behind a chunk; never back, where a later one was committed already."""
        self.positions[chunk.key] = max(chunk.end, self.positions.get(chunk.key, 0))

    def ends(self) -> Positions:
        """Return the positions after everything that is there now."""
        return {f"{task}/{path.name}": size for task, path, size in self._sizes()}

    def tail(self) -> list[bytes]:
        """Return the last whole lines of the newest file, up to TAIL_BYTES of them."""
        files = self._files()
        if not files:
            return []
        with files[-1][1].open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().split(b"\n")[int(size > TAIL_BYTES) : -1]
        try:
            return [inner for line in lines for inner in _opened(line, self._layout.keyring)]
        except KeyMissing:
            return []

    def backlog_bytes(self) -> int:
        """Return how much is there to be read."""
        return sum(
            max(0, size - self.positions.get(f"{task}/{path.name}", 0))
            for task, path, size in self._sizes()
        )

    def _read_file(self, task: str, path: Path, key: str, size: int) -> Iterator[Chunk]:
        start = self.positions.get(key, 0)
        try:
            with path.open("rb") as file:
                while start < size and (content := _read_lines(file, start)):
                    yield _chunk(task, key, content, start, self._layout.keyring)
                    start += len(content)
        except KeyMissing as missing:
            if key not in self._waiting:
                log.error("log_waits_for_key", path=str(path), reason=str(missing))
            self._waiting.add(key)
        except FileNotFoundError:  # retention was forced to let it go
            return

    def _sizes(self) -> Iterator[tuple[str, Path, int]]:
        for task, path in self._files():
            try:
                yield task, path, path.stat().st_size
            except FileNotFoundError:
                continue

    def _files(self) -> list[tuple[str, Path]]:
        folders = sorted(self._layout.datasets.glob(self._pattern))
        return [
            (folder.parent.name, path)
            for folder in folders
            for name, path in log_files(folder)
            if not name.is_archive
        ]


def _chunk(task: str, key: str, content: bytes, start: int, keyring: Keyring | None) -> Chunk:
    lines, end = content[:-1].split(b"\n"), start + len(content)
    if SEALED not in content:
        return Chunk(task, key, lines, end)
    found: list[bytes] = []
    ends: list[int] = []
    for line in lines:
        inner = _opened(line, keyring)
        after = start + len(line) + 1
        found += inner
        ends += [start] * (len(inner) - 1) + [after] * bool(inner)
        start = after
    return Chunk(task, key, found, end, ends)


def _opened(line: bytes, keyring: Keyring | None) -> list[bytes]:
    try:
        return opened(line, keyring)
    except SealedDamaged:
        return [line]


def _read_lines(file: BinaryIO, start: int) -> bytes:
    """Return the next whole lines, or nothing. A line above READ_BYTES is read whole."""
    waiting = os.fstat(file.fileno()).st_size - start
    wanted = READ_BYTES
    while waiting > 0:
        file.seek(start)
        content = file.read(wanted)
        if end := content.rfind(b"\n") + 1:
            return content[:end]
        if wanted >= waiting:
            return b""
        wanted *= 2
    return b""
