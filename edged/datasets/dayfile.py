"""One append-only file of one day, held by one writer at a time.

Runs in: every process that writes logs. Never: merges a torn line with the next one, or lets two
writers share a file.
"""

import fcntl
import os
from contextlib import suppress
from itertools import count
from pathlib import Path

from edged.datasets.naming import LogName
from edged.files import sync_folder

ROLL_BYTES = 1 << 30  # then the day's next file begins: over the size limit, files go whole
_TAIL_BYTES = 64 * 1024


class DayFile:
    """One open, locked file that ends in a newline, or is made to before the next append."""

    def __init__(self, path: Path, name: LogName, descriptor: int) -> None:
        self.path = path
        self.date = name.date
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._is_torn = False

    @classmethod
    def open(
        cls, folder: Path, date: str, *, prefix: str = "", roll_bytes: int = ROLL_BYTES
    ) -> "DayFile":
        """Open the day's first file that nobody holds, that is not full and not archived."""
        for index in count():
            name = LogName(date, index, prefix)
            if (folder / str(name.archived)).exists():
                continue
            path = folder / str(name)
            descriptor = _locked(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            if descriptor is None:
                continue
            opened = cls(path, name, descriptor)
            if opened.size < roll_bytes:
                opened.begin()
                return opened
            opened.close()
        raise AssertionError("count() does not end")

    @classmethod
    def hold(cls, path: Path) -> "DayFile | None":
        """Take a file that is there, its torn tail set aside; None where a writer holds it."""
        name = LogName.parse(path.name)
        descriptor = _locked(path, os.O_RDWR) if name is not None else None
        if name is None or descriptor is None:
            return None
        held = cls(path, name, descriptor)
        held.begin()
        return held

    def fileno(self) -> int:
        return self._descriptor

    def append(self, content: bytes) -> None:
        """Write all of it or, where the disk refuses a part, none. Raises OSError."""
        if self._is_torn:
            self._cut()
        written = 0
        try:
            while written < len(content):
                written += os.write(self._descriptor, content[written:] if written else content)
        except OSError:
            self._is_torn = True
            with suppress(OSError):
                self._cut()
            raise
        self.size += written

    def close(self) -> None:
        os.close(self._descriptor)

    def begin(self) -> None:
        """Make it ready for appends, or close it: whoever opens it gets an error and no file."""
        try:
            self._mend()
        except BaseException:
            self.close()
            raise

    def _mend(self) -> None:
        """Make a new file's name durable; set a torn tail aside, in `<path>.torn`."""
        if not self.size:
            sync_folder(self.path.parent)
            return
        end = end_of_lines(self._descriptor, self.size)
        if end == self.size:
            return
        with self.path.with_name(self.path.name + ".torn").open("ab") as aside:
            aside.write(os.pread(self._descriptor, self.size - end, end) + b"\n")
        self.size = end
        self._cut()

    def _cut(self) -> None:
        os.ftruncate(self._descriptor, self.size)
        self._is_torn = False


def _locked(path: Path, flags: int) -> int | None:
    """Open a file and lock it; None where another writer, or retention, holds it."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still_at(path, descriptor):
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def _is_still_at(path: Path, descriptor: int) -> bool:
    """Say whether the name still means this file: it may have been archived before the lock."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def end_of_lines(descriptor: int, size: int) -> int:
    """Return the position after the last newline."""
    end = size
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
