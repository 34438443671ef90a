"""Put datasets into one tar file, and back, each file whole and proven by its digest.

Runs in: `edged datasets export` and `import`. Never: overwrites a line that is there, or brings
back what a follower would count again: what comes from a backup comes as archives.
"""

import hashlib
import io
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

import orjson

from edged.datasets.archives import (
    ERASED,
    has_sealed_lines,
    read_lines,
    stored_files,
    write_archive,
)
from edged.datasets.known import known_lines
from edged.datasets.layout import KINDS, Layout, LogKind
from edged.datasets.naming import LogName
from edged.datasets.sealing import Keyring
from edged.errors import ArchiveDamaged, BackupInvalid
from edged.files import sync_folder, whole_file

IMPORTED: Final = 1_000  # the first index of files from a backup; no writer counts so far
_MANIFEST: Final = "manifest.json"
_ENTRY: Final = re.compile(r"datasets/(?P<task>[a-z0-9-]{1,63})/(?P<kind>[a-z]+)/(?P<name>[^/]+)")


@dataclass(slots=True)
class Restored:
    """What an import did. expired: dates of what retention will take at its next sweep."""

    placed: int = 0
    present: int = 0
    lines: int = 0
    dates: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Entry:
    task: str
    kind: LogKind
    name: LogName
    path: Path
    lines: int

    @property
    def day(self) -> tuple[str, LogKind, str, str]:
        return self.task, self.kind, self.name.date, self.name.prefix


def export(
    layout: Layout, tasks: Iterable[str], since: str, target: Path, *, clear: bool
) -> dict[str, Any]:
    """Write every log of some tasks from a date on; returns the manifest.

    clear: decrypted. A file of today comes up to its last whole line. Raises OSError or
    LogUnreadable; then there is no target.
    """
    files: list[dict[str, Any]] = []
    manifest = {"format": 1, "files": files}
    with (
        whole_file(target, mode=0o600) as file,
        tempfile.TemporaryDirectory(dir=target.parent) as scratch,
        tarfile.open(fileobj=file, mode="w") as tar,
    ):
        packed = Path(scratch) / "packed.gz"
        for task, kind, name, path in _logs(layout, tasks, since):
            stored = read_lines(path, layout.keyring)
            lines = _pack(stored, packed, None if clear else layout.keyring)
            entry = f"datasets/{task}/{kind}/{name.archived}"
            tar.add(packed, entry)
            files.append({"name": entry, "lines": lines, "sha256": _digest(packed)})
        content = orjson.dumps(manifest)
        header = tarfile.TarInfo(_MANIFEST)
        header.size = len(content)
        tar.addfile(header, io.BytesIO(content))
    return manifest


def restore(layout: Layout, source: Path) -> Restored:
    """Take in what a backup has and the logs have not, or nothing of one that is damaged.

    Raises BackupInvalid, OSError or LogUnreadable before anything is placed.
    """
    layout.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.state, prefix="import-") as scratch:
        days: dict[object, list[_Entry]] = {}
        for entry in _unpack(source, Path(scratch), layout):
            days.setdefault(entry.day, []).append(entry)
        new = [entry for day in days.values() for entry in _new_of(layout, day)]
        restored = Restored()
        for entry in new:
            _place(layout, entry, restored)
    return restored


def _logs(
    layout: Layout, tasks: Iterable[str], since: str
) -> Iterator[tuple[str, LogKind, LogName, Path]]:
    for task in tasks:
        for kind in KINDS:
            for name, path in stored_files(layout, task, kind):
                if name.date >= since:
                    yield task, kind, name, path


def _pack(lines: Iterable[bytes], packed: Path, keyring: Keyring | None) -> int:
    """Write lines as an archive; returns how many they were."""
    number = 0

    def counted() -> Iterator[bytes]:
        nonlocal number
        for line in lines:
            number += 1
            yield line

    write_archive(packed, counted(), keyring)
    return number


def _unpack(source: Path, scratch: Path, layout: Layout) -> Iterator[_Entry]:
    """Yield the files of a backup, each read to its end once."""
    try:
        with tarfile.open(source) as tar:
            listed = orjson.loads(_member(tar, _MANIFEST).read())["files"]
            for number, entry in enumerate(listed):
                path = scratch / f"{number}.jsonl.gz"
                with path.open("wb") as target:
                    shutil.copyfileobj(_member(tar, entry["name"]), target)
                yield _checked(entry, path, layout)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BackupInvalid(path=source, reason="it is no whole tar file") from error
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
        raise BackupInvalid(path=source, reason="its manifest is not understood") from error
    except (ValueError, ArchiveDamaged) as error:
        raise BackupInvalid(path=source, reason=str(error)) from error


def _member(tar: tarfile.TarFile, name: str) -> Any:
    try:
        member = tar.extractfile(name)
    except KeyError as error:
        raise ValueError(f"it has no {name}") from error
    if member is None:
        raise ValueError(f"{name} is no file")
    return member


def _checked(entry: dict[str, Any], path: Path, layout: Layout) -> _Entry:
    found = _ENTRY.fullmatch(entry["name"])
    name = LogName.parse(found["name"]) if found else None
    kind = next((kind for kind in KINDS if found and kind == found["kind"]), None)
    if found is None or name is None or kind is None or not name.is_archive:
        raise ValueError(f"{entry['name']!r} is no file of a dataset")
    if _digest(path) != entry["sha256"]:
        raise ValueError(f"{entry['name']} does not have the digest that the manifest gives")
    lines = sum(1 for _ in read_lines(path, layout.keyring))
    if lines != entry["lines"]:
        raise ValueError(f"{entry['name']} has {lines} lines, not {entry['lines']}")
    return _Entry(found["task"], kind, name, path, lines)


def _new_of(layout: Layout, day: list[_Entry]) -> Iterator[_Entry]:
    """Yield the files of one day with the lines that are not there yet."""
    there = [path for _, path in _stored_of(layout, day[0])]
    if not there:
        yield from day
        return
    lines = chain.from_iterable(read_lines(path, layout.keyring) for path in there)
    with known_lines(day[0].path.with_suffix(".known"), lines) as is_known:
        for entry in day:
            new = (line for line in read_lines(entry.path, layout.keyring) if not is_known(line))
            left = (line for line in new if line.strip() != ERASED)
            path = entry.path.with_name(f"new-{entry.path.name}")
            yield replace(entry, path=path, lines=_pack(left, path, layout.keyring))


def _place(layout: Layout, entry: _Entry, restored: Restored) -> None:
    """Move one file to a free name, if there is anything new in it."""
    if not entry.lines:
        restored.present += 1
        return
    folder = layout.log(entry.task, entry.kind)
    folder.mkdir(parents=True, exist_ok=True)
    taken = {name.index for name, _ in _stored_of(layout, entry)}
    index = next(index for index in count(IMPORTED) if index not in taken)
    name = replace(entry.name, index=index)
    if layout.keyring is not None and not has_sealed_lines(entry.path):
        write_archive(folder / str(name), read_lines(entry.path, layout.keyring), layout.keyring)
    else:
        entry.path.replace(folder / str(name))
        sync_folder(folder)
    restored.placed += 1
    restored.lines += entry.lines
    restored.dates.add(name.date)


def _stored_of(layout: Layout, entry: _Entry) -> list[tuple[LogName, Path]]:
    """Return the files of an entry's day that are there."""
    stored = stored_files(layout, entry.task, entry.kind)
    return [(name, path) for name, path in stored if (name.date, name.prefix) == entry.day[2:]]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
