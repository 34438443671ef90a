"""Find executions in the log again by their ids, days later.

Runs in: the agent, in a thread. Talks to: the files that the gateway appends to, and archives of
them. Never: reads a whole day for one execution.

An execution's id names the millisecond in which the call arrived; its line was appended when the
call ended. So a day's file is nearly sorted by id. A binary search over bytes finds the
neighbourhood (in an archive: the headers of its members do), and what lies within `SLACKS_S` of
the wanted times is read: first what fits ordinary programs, then what fits the longest time limit
that can be configured. Ids that lie near each other are looked for in one pass, which is the usual
case: truths come in the order of the calls.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from edged.datasets.archives import read_lines, stored_files
from edged.datasets.ids import ID_AT, ID_BYTES, first_ms, id_ms, line_ms
from edged.datasets.layout import Layout
from edged.datasets.members import Member, members_of
from edged.datasets.sealing import Keyring, opened
from edged.errors import ArchiveDamaged, LogUnreadable

SLACKS_S: Final = (2.0, 660.0)
_NEAR_BYTES: Final = 64 * 1024  # of a binary search: below that, reading on is cheaper


def find_lines(layout: Layout, task: str, ids: Iterable[str]) -> dict[str, bytes]:
    """Return the log line of each id that is still there. Ids that are no UUIDv7 are not.

    Lines that are damaged, or whose key is missing, are not there either; they hide no others.
    """
    wanted = {name: at_ms for name in ids if (at_ms := id_ms(name)) is not None}
    found: dict[str, bytes] = {}
    for slack_s in SLACKS_S:
        missing = {name: at_ms for name, at_ms in wanted.items() if name not in found}
        for path, times in _by_file(layout, task, missing):
            found.update(_find_in(path, layout.keyring, times, int(slack_s * 1000)))
    return found


def _by_file(
    layout: Layout, task: str, wanted: dict[str, int]
) -> Iterator[tuple[Path, dict[str, int]]]:
    """Yield the files that may hold some, with those; a call may have ended on the next day."""
    by_day: dict[str, dict[str, int]] = {}
    for name, at_ms in wanted.items():
        for day_s in (0, 86_400):
            date = time.strftime("%Y-%m-%d", time.gmtime(at_ms // 1000 + day_s))
            by_day.setdefault(date, {})[name] = at_ms
    for log, path in stored_files(layout, task, "executions") if by_day else []:
        if log.date in by_day:
            yield path, by_day[log.date]


def _find_in(
    path: Path, keyring: Keyring | None, wanted: dict[str, int], slack_ms: int
) -> dict[str, bytes]:
    names = {name.encode(): name for name in wanted}
    found = {}
    with path.open("rb") as file:
        source = _Archive(file, keyring) if path.suffix == ".gz" else _Lines(file, keyring)
        for first_ms, last_ms in _spans(wanted.values(), slack_ms):
            for line in source.between(first_ms, last_ms):
                name = names.get(line[ID_AT : ID_AT + ID_BYTES])
                if name is not None:
                    found[name] = line
    return found


def _spans(times_ms: Iterable[int], slack_ms: int) -> list[tuple[int, int]]:
    """Return the neighbourhoods of all times, those that touch made one, in order."""
    spans: list[tuple[int, int]] = []
    for at_ms in sorted(times_ms):
        first_ms, last_ms = at_ms - slack_ms, at_ms + slack_ms
        if spans and first_ms <= spans[-1][1]:
            first_ms = spans.pop()[0]
        spans.append((first_ms, last_ms))
    return spans


class _Lines:
    """A file of lines, nearly sorted by id."""

    def __init__(self, file: BinaryIO, keyring: Keyring | None) -> None:
        self._file = file
        self._keyring = keyring

    def between(self, first_ms: int, last_ms: int) -> Iterator[bytes]:
        """Yield whole lines from the first neighbourhood to the end of the last one."""
        self._file.seek(self._offset_of(first_ms))
        for stored in self._file:
            for line in _opened(stored[:-1], self._keyring) if stored.endswith(b"\n") else ():
                if line_ms(line) > last_ms:
                    return
                yield line

    def _offset_of(self, at_ms: int) -> int:
        """Return the start of a line at or a little before the first one of that time."""
        low, high = 0, os.fstat(self._file.fileno()).st_size  # low: always the start of a line
        while high - low > _NEAR_BYTES:
            middle = (low + high) // 2
            start, found_ms = self._next_time(middle, high)
            if 0 < found_ms < at_ms:
                low = start
            else:
                high = middle
        return low

    def _next_time(self, offset: int, end: int) -> tuple[int, int]:
        """Return where the next line that has a time starts, and the time; 0: none before `end`.

        Erased ones have none, and a large part of a file may be erased.
        """
        file = self._file
        file.seek(offset)
        file.readline()  # to the start of a line
        while (start := file.tell()) < end and (stored := file.readline()).endswith(b"\n"):
            if found_ms := first_ms(_opened(stored[:-1], self._keyring)):
                return start, found_ms
        return end, 0


class _Archive:
    """A file of members that say when they begin."""

    def __init__(self, file: BinaryIO, keyring: Keyring | None) -> None:
        self._file = file
        self._keyring = keyring
        members = members_of(file)
        self._is_ours = members is not None
        self._members: list[Member] = []
        with suppress(ArchiveDamaged):  # what stands before the damage is found
            self._members.extend(members or ())

    def between(self, first_ms: int, last_ms: int) -> Iterator[bytes]:
        """Yield the lines of every member that may hold some of that time."""
        if not self._is_ours:
            with suppress(LogUnreadable):
                yield from read_lines(Path(self._file.name), self._keyring)
            return
        for member, end_ms in zip(self._members, self._ends_ms(last_ms + 1), strict=True):
            if member.first_ms <= last_ms and end_ms >= first_ms:
                for stored in _unpacked(member, self._file).split(b"\n")[:-1]:
                    yield from _opened(stored, self._keyring)

    def _ends_ms(self, end_ms: int) -> list[int]:
        """Return when the next member begins that says so; end_ms: of the last one."""
        ends_ms = []
        for member in reversed(self._members):
            ends_ms.append(end_ms)
            end_ms = member.first_ms or end_ms
        return ends_ms[::-1]


def _unpacked(member: Member, file: BinaryIO) -> bytes:
    try:
        return member.read(file)
    except LogUnreadable:
        return b""


def _opened(stored: bytes, keyring: Keyring | None) -> list[bytes]:
    try:
        return opened(stored, keyring)
    except LogUnreadable:
        return []
