"""Append lines to a task's daily file; an answer leaves only after its line is in the log.

Runs in: the gateway (executions, outcomes) and, from their own instances, other processes.
Never: rewrites a line, or lets two writers share a file.

One `write` per append: a kill between two appends leaves whole lines only, and one in the middle
of a write leaves a torn tail whose callers never got an answer. The next writer sets it aside.
"""

import fcntl
import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from edged.datasets.layout import Layout, LogKind
from edged.errors import LogUnwritable

TAIL_BYTES = 64 * 1024


class LogWriter:
    """The day files of one kind of log for all tasks of a data_dir.

    clock: seconds since the epoch; the UTC day it names chooses the file. prefix: of file names.
    """

    def __init__(
        self, layout: Layout, kind: LogKind, clock: Callable[[], float], *, prefix: str = ""
    ) -> None:
        self._layout = layout
        self._kind = kind
        self._clock = clock
        self._prefix = prefix
        self._files: dict[str, DayFile] = {}  # task → the file held open and locked
        self._day = -1
        self._date = ""

    def append(self, task: str, lines: list[bytes]) -> Path:
        """Write whole lines, newlines included, and return the file that has them.

        Raises LogUnwritable; then none is there.
        """
        file = self._file(task)
        try:
            file.append(b"".join(lines))
        except OSError as error:
            raise LogUnwritable(reason=error.strerror, path=file.path) from error
        return file.path

    def check(self) -> None:
        """Raise LogUnwritable unless the log's folder can be written."""
        folder = self._layout.datasets
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{os.getpid()}"
            probe.write_bytes(b"\n")
            probe.unlink()
        except OSError as error:
            raise LogUnwritable(reason=error.strerror, path=folder) from error

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _file(self, task: str) -> "DayFile":
        date = self._today()
        file = self._files.get(task)
        if file is not None and file.date >= date:
            return file  # a file's date never goes back when the clock does
        folder = self._layout.log(task, self._kind)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            opened = DayFile.open(folder, date, prefix=self._prefix)
        except OSError as error:
            raise LogUnwritable(reason=error.strerror, path=folder) from error
        if file is not None:
            file.close()
        self._files[task] = opened
        return opened

    def _today(self) -> str:
        now_s = self._clock()
        day = int(now_s // 86_400)
        if day != self._day:
            self._day = day
            self._date = time.strftime("%Y-%m-%d", time.gmtime(now_s))
        return self._date


class DayFile:
    """One open, locked, append-only file that ends in a newline."""

    def __init__(self, path: Path, date: str, descriptor: int) -> None:
        self.path = path
        self.date = date
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    @classmethod
    def open(cls, folder: Path, date: str, *, prefix: str = "") -> "DayFile":
        """Open `<date>.jsonl`, or `<date>.1.jsonl` and so on where another writer holds it."""
        for index in count():
            path = folder / f"{prefix}{date}{f'.{index}' if index else ''}.jsonl"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            _set_torn_tail_aside(descriptor, path)
            return cls(path, date, descriptor)
        raise AssertionError("count() does not end")

    def append(self, content: bytes) -> None:
        """Write all of it or, where the disk refuses a part, none. Raises OSError."""
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(content)

    def close(self) -> None:
        os.close(self._descriptor)


def _set_torn_tail_aside(descriptor: int, path: Path) -> None:
    """Move what follows the last newline to `<path>.torn`."""
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        start = max(0, end - TAIL_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end == size:
        return
    with path.with_name(path.name + ".torn").open("ab") as aside:
        aside.write(os.pread(descriptor, size - end, end) + b"\n")
    os.ftruncate(descriptor, end)
