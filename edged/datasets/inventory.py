"""List every dated file below a data_dir, as retention sees it.

Runs in: the agent, in a thread. Talks to: the folders of a data_dir. Never: opens a file.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from edged.datasets.layout import KINDS, Layout
from edged.datasets.naming import LogName, is_date
from edged.datasets.retention import StoredFile

OTHER_KINDS: Final = ("analytics", "audit")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def inventory(
    layout: Layout, today: date, is_acknowledged: Callable[[StoredFile], bool]
) -> Iterator[StoredFile]:
    """Yield logs, archives, torn tails, statistics and the audit log. Of others only logs wait."""
    for folder in sorted(layout.datasets.glob("*/*")):
        if folder.name in KINDS or folder.name == "analytics":
            for file in _files(folder, folder.parent.name, folder.name, today):
                yield replace(file, is_acknowledged=is_acknowledged(file))
    yield from _files(layout.audit, "", "audit", today)


def other_bytes(layout: Layout, listed: Iterator[StoredFile] | list[StoredFile]) -> int:
    """Return the size of everything else in the data_dir."""
    paths = {file.path for file in listed}
    return sum(read_size(path) for path in layout.data_dir.rglob("*") if path not in paths)


def _files(folder: Path, task: str, kind: str, today: date) -> Iterator[StoredFile]:
    # A writer stays a day ahead where the clock was set back; what is further was a wrong clock's.
    days = {str(today + timedelta(days=ahead)) for ahead in (0, 1)}
    for path in folder.glob("[!.]*"):
        name = LogName.parse(path.name) or _dated(path.name)
        if name is not None:
            is_open = path.suffix == ".jsonl" and name.date in days
            yield StoredFile(
                path=path,
                task=task,
                kind=kind,
                name=name,
                size_bytes=read_size(path),
                is_open=is_open,
            )


def _dated(name: str) -> LogName | None:
    """Return the day of a torn tail or of statistics."""
    found = _DATE.search(name)
    return LogName(found[0]) if found and is_date(found[0]) else None


def read_size(path: Path) -> int:
    """Return the size of a file or folder itself, in bytes; 0 of one that has gone meanwhile."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
