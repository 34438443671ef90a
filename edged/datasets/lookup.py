"""Find executions in the log again by their ids, days later.

Runs in: the agent, in a thread. Talks to: the files that the gateway appends to. Never: reads a
whole day for one execution.

An execution's id is a UUIDv7, so it names the millisecond in which the call arrived; its line was
appended when the call ended. So a day's file is nearly sorted by id. A binary search over bytes
finds the neighbourhood, and what lies within `SLACKS_S` of the wanted times is read: first what
fits ordinary programs, then what fits the longest time limit that can be configured. Ids that lie
near each other are looked for in one pass, which is the usual case: truths come in the order of
the calls.
"""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from edged.datasets.layout import Layout

SLACKS_S: Final = (2.0, 660.0)
_ID_AT: Final = len(b'{"execution_id":"')  # the specification's first key, as records.render writes
_ID_BYTES: Final = 36
_NEAR_BYTES: Final = 64 * 1024  # of a binary search: below that, reading on is cheaper


def find_lines(layout: Layout, task: str, ids: Iterable[str]) -> dict[str, bytes]:
    """Return the log line of each id that is still there. Ids that are no UUIDv7 are not."""
    wanted = {name: at_ms for name in ids if (at_ms := _arrived_ms(name)) is not None}
    found: dict[str, bytes] = {}
    folder = layout.log(task, "executions")
    for slack_s in SLACKS_S:
        missing = {name: at_ms for name, at_ms in wanted.items() if name not in found}
        for path, times in _by_file(folder, missing):
            found.update(_find_in(path, times, int(slack_s * 1000)))
    return found


def _arrived_ms(execution_id: str) -> int | None:
    """Return when the call arrived, in ms since the epoch. Source: RFC 9562, 5.7."""
    try:
        identifier = UUID(execution_id)
    except ValueError:
        return None
    return identifier.int >> 80 if identifier.version == 7 else None


def _by_file(folder: Path, wanted: dict[str, int]) -> Iterator[tuple[Path, dict[str, int]]]:
    """Yield the files that may hold some, with those; a call may have ended on the next day."""
    by_day: dict[str, dict[str, int]] = {}
    for name, at_ms in wanted.items():
        for day_s in (0, 86_400):
            date = time.strftime("%Y-%m-%d", time.gmtime(at_ms // 1000 + day_s))
            by_day.setdefault(date, {})[name] = at_ms
    for date, names in sorted(by_day.items()):
        for path in sorted(folder.glob(f"{date}*.jsonl")):
            yield path, names


def _find_in(path: Path, wanted: dict[str, int], slack_ms: int) -> dict[str, bytes]:
    names = {name.encode(): name for name in wanted}
    found = {}
    with path.open("rb") as file:
        for first_ms, last_ms in _spans(wanted.values(), slack_ms):
            for line in _lines_between(file, first_ms, last_ms):
                name = names.get(line[_ID_AT : _ID_AT + _ID_BYTES])
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


def _lines_between(file: BinaryIO, first_ms: int, last_ms: int) -> Iterator[bytes]:
    """Yield whole lines from the first neighbourhood to the end of the last one."""
    file.seek(_offset_of(file, first_ms))
    for line in file:
        if _line_ms(line) > last_ms:
            return
        if line.endswith(b"\n"):
            yield line[:-1]


def _offset_of(file: BinaryIO, at_ms: int) -> int:
    """Return the start of a line at or a little before the first one of that time."""
    low, high = 0, os.fstat(file.fileno()).st_size  # low: always the start of a line
    while high - low > _NEAR_BYTES:
        file.seek((low + high) // 2)
        file.readline()  # to the start of a line
        start = file.tell()
        if start >= high or _line_ms(file.readline()) >= at_ms:
            high = (low + high) // 2
        else:
            low = start
    return low


def _line_ms(line: bytes) -> int:
    """Return the time in a line's id; 0 for a line that is none of ours, which is read over."""
    try:
        return int(line[_ID_AT : _ID_AT + 8] + line[_ID_AT + 9 : _ID_AT + 13], 16)
    except ValueError:
        return 0
