"""The names of a log's files: `2026-11-23.jsonl`, `sampled-2026-11-23.2.jsonl.gz`.

Pure. A day may have several files: where one was held by another writer or had grown too large,
the next one counts up. `.jsonl` is still followed; `.jsonl.gz` is an archive, and is not.
"""

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

_NAME = re.compile(
    r"(?P<prefix>.*?)(?P<date>\d{4}-\d\d-\d\d)(\.(?P<index>\d+))?\.jsonl(?P<gz>\.gz)?"
)


@dataclass(frozen=True, slots=True, order=True)
class LogName:
    """One file's name; they sort by day, then by the order in which they were begun."""

    date: str
    index: int = 0
    prefix: str = ""
    is_archive: bool = False

    @classmethod
    def parse(cls, name: str) -> "LogName | None":
        """Return None for what is no file of a log."""
        found = _NAME.fullmatch(name)
        if found is None or not is_date(found["date"]):
            return None
        return cls(
            found["date"], int(found["index"] or 0), found["prefix"], found["gz"] is not None
        )

    def __str__(self) -> str:
        index = f".{self.index}" if self.index else ""
        return f"{self.prefix}{self.date}{index}.jsonl{'.gz' if self.is_archive else ''}"

    @property
    def archived(self) -> "LogName":
        return replace(self, is_archive=True)


def is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def log_files(folder: Path) -> list[tuple[LogName, Path]]:
    """Return the files of one log, archives included, oldest first; none where there is none."""
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return []
    named = ((LogName.parse(path.name), path) for path in paths)
    return sorted((name, path) for name, path in named if name is not None)
