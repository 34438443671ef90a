"""Put datasets into one tar file, and back, each file whole and proven by its digest.

Runs in: `edged datasets export` and `import`. Never: overwrites a line that is there, or brings
back what a follower would count again: what comes from a backup comes as archives.
"""

import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import Any, Final

import orjson

from edged.datasets.archives import has_sealed_lines, read_lines, stored_files, write_archive
from edged.datasets.layout import KINDS, Layout, LogKind
from edged.datasets.naming import LogName
from edged.errors import ArchiveDamaged, BackupInvalid
from edged.files import sync_folder, whole_file

IMPORTED: Final = 1_000  # the first index of files from a backup; no writer counts so far
_MANIFEST: Final = "manifest.json"
_ENTRY: Final = re.compile(r"datasets/(?P<task>[a-z0-9-]{1,63})/(?P<kind>[a-z]+)/(?P<name>[^/]+)")
_INVALID: Final = (  # what a file that is no backup raises
    tarfile.TarError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArchiveDamaged,
)


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
            lines = _pack(path, packed, layout, clear=clear)
            entry = f"datasets/{task}/{kind}/{name.archived}"
            tar.add(packed, entry)
            files.append({"name": entry, "lines": lines, "sha256": _digest(packed)})
        content = orjson.dumps(manifest)
        header = tarfile.TarInfo(_MANIFEST)
        header.size = len(content)
        tar.addfile(header, io.BytesIO(content))
    return manifest


def restore(layout: Layout, source: Path) -> Restored:
    """Take in a backup, all or nothing that is damaged; what is there already stays as it is.

    Raises BackupInvalid, OSError or LogUnreadable before anything is placed.
    """
    layout.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.state, prefix="import-") as scratch:
        entries = list(_unpack(source, Path(scratch), layout))
        restored = Restored()
        for entry in entries:
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


def _pack(path: Path, packed: Path, layout: Layout, *, clear: bool) -> int:
    """Write a log as an archive; returns its lines."""
    lines = 0

    def counted() -> Iterator[bytes]:
        nonlocal lines
        for line in read_lines(path, layout.keyring):
            lines += 1
            yield line

    write_archive(packed, counted(), None if clear else layout.keyring)
    return lines


def _unpack(source: Path, scratch: Path, layout: Layout) -> Iterator[_Entry]:
    """Yield the files of a backup, each read to its end once."""
    try:
        with tarfile.open(source) as tar:
            listed = orjson.loads(_member(tar, _MANIFEST).read())["files"]
            for number, entry in enumerate(listed):
                path = scratch / f"{number}.jsonl.gz"
                path.write_bytes(_member(tar, entry["name"]).read())
                yield _checked(entry, path, layout)
    except _INVALID as error:
        raise BackupInvalid(path=source, reason=str(error) or type(error).__name__) from error


def _member(tar: tarfile.TarFile, name: str) -> Any:
    member = tar.extractfile(name)
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


def _place(layout: Layout, entry: _Entry, restored: Restored) -> None:
    """Move one file to a free name, unless its lines are there."""
    folder = layout.log(entry.task, entry.kind)
    folder.mkdir(parents=True, exist_ok=True)
    there = [
        (name, path)
        for name, path in stored_files(layout, entry.task, entry.kind)
        if (name.date, name.prefix) == (entry.name.date, entry.name.prefix)
    ]
    if any(_begins_with(path, entry.path, layout) for _, path in there):
        restored.present += 1
        return
    taken = {name.index for name, _ in there}
    index = next(index for index in count(IMPORTED) if index not in taken)
    older = [  # of an earlier backup, taken before the day was over
        (name, path)
        for name, path in there
        if name.index >= IMPORTED and _begins_with(entry.path, path, layout)
    ]
    name = older[0][0] if older else replace(entry.name, index=index)
    if layout.keyring is not None and not has_sealed_lines(entry.path):
        write_archive(folder / str(name), read_lines(entry.path, layout.keyring), layout.keyring)
    else:
        entry.path.replace(folder / str(name))
        sync_folder(folder)
    restored.placed += 1
    restored.lines += entry.lines
    restored.dates.add(name.date)


def _begins_with(whole: Path, part: Path, layout: Layout) -> bool:
    """Say whether all lines of one file are the first lines of another."""
    lines = sum(1 for _ in read_lines(part, layout.keyring))
    first = islice(read_lines(whole, layout.keyring), lines)
    pairs = zip_longest(first, read_lines(part, layout.keyring))
    return all(one == other for one, other in pairs)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
