"""Append lines to a task's daily file; an answer leaves only after its line is in the log.

Runs in: the gateway (executions, outcomes) and, from their own instances, other processes.
Never: rewrites a line, or lets two writers share a file.

One `write` per append: a kill between two appends leaves whole lines only, and one in the middle
of a write leaves a torn tail whose callers never got an answer. The next writer sets it aside.
A file that the disk refused is let go and opened anew by its path: whatever is mounted or
permitted there by then is used, without a restart.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from edged.datasets.dayfile import ROLL_BYTES, DayFile
from edged.datasets.layout import Layout, LogKind
from edged.errors import LogUnwritable

RETRY_S = 0.2  # after a refusal, appends are refused for this long without asking the disk
PROBE_BYTES = 256 * 1024  # a disk that takes these after a refusal takes appends again
_DAY_S = 86_400


class LogWriter:
    """The day files of one kind of log for all tasks of a data_dir.

    clock: seconds since the epoch; the UTC day it names chooses the file. prefix: of file names.
    is_synced: the owner asks `unsynced` for what to sync.
    """

    def __init__(
        self,
        layout: Layout,
        kind: LogKind,
        clock: Callable[[], float],
        *,
        prefix: str = "",
        is_synced: bool = False,
        roll_bytes: int = ROLL_BYTES,
    ) -> None:
        self._layout = layout
        self._kind = kind
        self._clock = clock
        self._prefix = prefix
        self._seal = layout.keyring.sealer().seal if layout.keyring else None
        self._is_synced = is_synced
        self._roll_bytes = roll_bytes
        self._files: dict[str, DayFile] = {}  # task → the file held open and locked
        self._dirty: set[DayFile] = set()  # with lines that may not survive a power loss
        self._retired: list[int] = []  # descriptors of dirty files that are appended no more
        self._day_ends_s = 0.0
        self._date = ""
        self._refusal: LogUnwritable | None = None
        self._retry_s = 0.0  # monotonic

    def append(self, task: str, lines: list[bytes]) -> Path:
        """Write whole lines, newlines included, and return the file that has them.

        Raises LogUnwritable; then none is there.
        """
        if self._refusal is not None and time.monotonic() < self._retry_s:
            raise self._refusal
        content = b"".join(lines)
        if self._seal is not None:
            content = self._seal(content)
        file = self._file(task)
        try:
            file.append(content)
        except OSError as error:
            self._let_go(task)
            raise self._refused(error, file.path) from error
        self._refusal = None
        if self._is_synced:
            self._dirty.add(file)
        return file.path

    def check(self) -> None:
        """Raise LogUnwritable unless the log's folder can be written. Once a second or so.

        Also lets go of the files of past days.
        """
        self.let_past_days_go()
        folder = self._layout.datasets
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{os.getpid()}"
            try:
                probe.write_bytes(b"\n" * (PROBE_BYTES if self._refusal else 1))
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:  # what is open may still be appended to
            raise LogUnwritable(reason=error.strerror, path=folder) from error
        self._refusal = None

    def unsynced(self) -> list[int]:
        """Return descriptors of all that was appended since the last call; the caller closes them.

        They are the caller's own: a thread may sync them while this writer goes on.
        """
        taken = [os.dup(file.fileno()) for file in self._dirty] + self._retired
        self._dirty.clear()
        self._retired = []
        return taken

    def let_past_days_go(self) -> None:
        """Close the files of past days: nobody may archive one that is held."""
        today = time.strftime("%Y-%m-%d", time.gmtime(self._clock()))
        for task, file in list(self._files.items()):
            if file.date < today:
                self._let_go(task)

    def close(self) -> None:
        for task in list(self._files):
            self._let_go(task)

    def _file(self, task: str) -> DayFile:
        now_s = self._clock()
        if not self._day_ends_s - 2 * _DAY_S <= now_s < self._day_ends_s:
            self._begin_day(now_s)
        file = self._files.get(task)
        # A file's date does not go back when the clock does, by up to a day.
        if file is not None and file.date >= self._date and file.size < self._roll_bytes:
            return file
        folder = self._layout.log(task, self._kind)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            date = max(self._date, file.date if file else "")
            opened = DayFile.open(folder, date, prefix=self._prefix, roll_bytes=self._roll_bytes)
        except OSError as error:
            raise self._refused(error, folder) from error
        if file is not None:
            self._let_go(task)
        self._files[task] = opened
        return opened

    def _begin_day(self, now_s: float) -> None:
        """Turn to a day; a file of one that lies ahead was begun by a clock that was wrong."""
        self._day_ends_s = (now_s // _DAY_S + 1) * _DAY_S
        self._date = time.strftime("%Y-%m-%d", time.gmtime(now_s))
        for task in [task for task, file in self._files.items() if file.date > self._date]:
            self._let_go(task)

    def _let_go(self, task: str) -> None:
        file = self._files.pop(task)
        if file in self._dirty:
            self._dirty.discard(file)
            self._retired.append(file.fileno())  # closed by whoever syncs it
        else:
            file.close()

    def _refused(self, error: OSError, path: Path) -> LogUnwritable:
        self._retry_s = time.monotonic() + RETRY_S
        self._refusal = LogUnwritable(reason=error.strerror, path=path)
        return self._refusal
