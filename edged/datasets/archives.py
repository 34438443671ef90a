"""Read the files of a log whatever their form, archive them, and rewrite what must be forgotten.

Runs in: the agent's retention, and `edged datasets` and `edged privacy` commands. Never: touches a
file that a writer holds, but to overwrite a line in place with one of the same length.

A file is plain lines (`.jsonl`) or an archive of them (`.jsonl.gz`); in both, a line may be an
envelope of encrypted ones. Whoever reads here sees lines in clear.
"""

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from edged.datasets.dayfile import DayFile, end_of_lines
from edged.datasets.ids import first_ms
from edged.datasets.layout import Layout, LogKind
from edged.datasets.members import members_of, pack_member
from edged.datasets.naming import LogName, log_files
from edged.datasets.sealing import SEALED, Keyring, is_sealed, opened
from edged.errors import ArchiveDamaged, SealedDamaged
from edged.files import whole_file

MEMBER_BYTES: Final = 1 << 20  # of lines, before compression
Change = Callable[[bytes], bytes | None]
OnDamaged = Callable[[bytes], object]
ERASED: Final = b"{}"  # and spaces, in the place of a line of a live file


def stored_files(layout: Layout, task: str, kind: LogKind) -> list[tuple[LogName, Path]]:
    """Return the files of one log, oldest first; of one that is just being archived, the lines."""
    files = log_files(layout.log(task, kind))
    live = {name.archived for name, _ in files if not name.is_archive}
    return [(name, path) for name, path in files if not (name.is_archive and name in live)]


def read_lines(
    path: Path,
    keyring: Keyring | None,
    start: int = 0,
    *,
    on_damaged: OnDamaged | None = None,
) -> Iterator[bytes]:
    """Yield every whole line in clear, without its newline; start: of a file that is no archive.

    on_damaged: gets an envelope that cannot be opened, as it is stored. Raises OSError or
    LogUnreadable; SealedDamaged only where there is no on_damaged.
    """
    for block in _stored(path, start):
        lines = block.split(b"\n")[:-1]
        if SEALED in block:
            for line in lines:
                yield from _opened(line, keyring, path, on_damaged)
        else:
            yield from lines


def newest_lines(layout: Layout, task: str, kind: LogKind, since: str = "") -> Iterator[bytes]:
    """Yield the lines of one log in clear, newest first; since: the first day that counts.

    A line that was damaged comes as it stands. Raises OSError, KeyMissing or ArchiveDamaged.
    """
    for name, path in reversed(stored_files(layout, task, kind)):
        if name.date < since:
            return
        for block in _stored_backwards(path):
            for line in reversed(block.split(b"\n")[:-1]):
                try:
                    yield from reversed(opened(line, layout.keyring))
                except SealedDamaged:
                    yield line


def has_sealed_lines(path: Path) -> bool:
    """Say whether any line is encrypted."""
    return any(is_sealed(block) or b"\n" + SEALED in block for block in _stored(path))


def is_current(path: Path, keyring: Keyring | None) -> bool:
    """Say whether every line is encrypted under the first key; without keys, whether none is."""
    if keyring is None:
        return not has_sealed_lines(path)
    return all(
        keyring.is_current(line) for block in _stored(path) for line in block.split(b"\n")[:-1]
    )


def count_lines(path: Path, start: int, keyring: Keyring | None) -> int:
    """Return how many lines follow a position."""
    return sum(1 for _ in read_lines(path, keyring, start))


def archive(path: Path, keyring: Keyring | None) -> Path | None:
    """Replace a `.jsonl` by its `.jsonl.gz`; None where a writer holds it.

    Between the two names both hold every line. Raises OSError or LogUnreadable.
    """
    held = DayFile.hold(path)
    if held is None:
        return None
    try:
        archived = path.with_name(path.name + ".gz")
        write_archive(archived, read_lines(path, keyring), keyring)
        path.unlink()
        return archived
    finally:
        held.close()


def write_archive(path: Path, lines: Iterable[bytes], keyring: Keyring | None) -> None:
    """Write an archive, whole or not at all; with keys its members are encrypted."""
    seal = keyring.sealer().seal if keyring else None
    with whole_file(path, mode=0o640) as file:
        for block in _gathered(lines):
            content = seal(block, deflate=True) if seal else block
            file.write(pack_member(content, first_ms(block.split(b"\n"))))


def rewrite(path: Path, change: Change, keyring: Keyring | None) -> int:
    """Change lines of a file; returns how many were changed.

    change: takes a line in clear and returns it, another one, or None to leave it out. In a file
    that is still appended to or followed, positions must stay: there a changed line is padded with
    spaces to its old length, one left out becomes `{}`, and one that grew is a ValueError.
    An envelope that cannot be opened stays there, and is moved from an archive to `<path>.torn`.
    Raises OSError, KeyMissing or ArchiveDamaged.
    """
    if path.suffix == ".gz":
        return _rewrite_archive(path, change, keyring)
    return _overwrite(path, change, keyring)


def _rewrite_archive(path: Path, change: Change, keyring: Keyring | None) -> int:
    changed = 0

    def kept() -> Iterator[bytes]:
        nonlocal changed
        for line in read_lines(path, keyring, on_damaged=partial(_set_aside, path)):
            new = change(line)
            changed += new != line
            if new is not None:
                yield new

    lines = read_lines(path, keyring, on_damaged=lambda _line: None)
    if any(change(line) != line for line in lines):
        write_archive(path, kept(), keyring)
    return changed


def _set_aside(path: Path, line: bytes) -> None:
    with path.with_name(path.name + ".torn").open("ab") as aside:
        aside.write(line + b"\n")


def _overwrite(path: Path, change: Change, keyring: Keyring | None) -> int:
    changed, start = 0, 0
    with path.open("r+b") as file:
        for line in _whole_lines(file):
            inner = _opened(line, keyring, path, lambda _line: None)
            wanted = [ERASED if (new := change(each)) is None else new for each in inner]
            if wanted != inner:
                changed += sum(a != b for a, b in zip(wanted, inner, strict=True))
                os.pwrite(file.fileno(), _fitted(line, inner, wanted, keyring), start)
            start += len(line) + 1
        if changed:
            os.fsync(file.fileno())
    return changed


def _fitted(line: bytes, inner: list[bytes], wanted: list[bytes], keyring: Keyring | None) -> bytes:
    """Return the new line, as long as the old one."""
    for old, new in zip(inner, wanted, strict=True):
        if len(new) > len(old):
            raise ValueError("a line in a live file cannot grow")
    if keyring is None or not is_sealed(line):
        return wanted[0].ljust(len(line))
    content = b"".join(new.ljust(len(old)) + b"\n" for old, new in zip(inner, wanted, strict=True))
    return keyring.sealer().seal(content)[:-1]


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines up to one that is still being written: its rest would come as another line."""
    while (line := file.readline()).endswith(b"\n"):
        yield line[:-1]


def _opened(
    line: bytes, keyring: Keyring | None, path: Path, on_damaged: OnDamaged | None
) -> list[bytes]:
    try:
        return opened(line, keyring, path)
    except SealedDamaged:
        if on_damaged is None:
            raise
        on_damaged(line)
        return []


def _gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines by the block, newlines included."""
    block: list[bytes] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line) + 1
        if size >= MEMBER_BYTES:
            yield b"\n".join(block) + b"\n"
            block, size = [], 0
    if block:
        yield b"\n".join(block) + b"\n"


def _stored(path: Path, start: int = 0) -> Iterator[bytes]:
    """Yield whole lines by the block as they are stored, decompressed and maybe encrypted."""
    with path.open("rb") as file:
        file.seek(start)
        yield from _blocks(file) if path.suffix == ".gz" else _pieces(file)


def _pieces(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    """Yield whole lines by the block; what follows the last newline is not yielded."""
    rest = b""
    while content := file.read(MEMBER_BYTES):
        whole, newline, rest = (rest + content).rpartition(b"\n")
        if newline:
            yield whole + newline


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    members = members_of(file)
    if members is None:
        yield from _foreign_blocks(file)
        return
    for member in members:
        yield member.read(file)


def _foreign_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield what somebody else compressed."""
    file.seek(0)
    try:
        with gzip.open(file, "rb") as stream:
            yield from _pieces(stream)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        reason = "it does not unpack up to there"
        raise ArchiveDamaged(path=file.name, position=file.tell(), reason=reason) from error


def _stored_backwards(path: Path) -> Iterator[bytes]:
    """Yield what `_stored` does, the last block first."""
    if path.suffix != ".gz":
        with path.open("rb") as file:
            yield from _pieces_backwards(file)
        return
    with path.open("rb") as file:
        members = members_of(file)
        if members is not None:
            for member in reversed(list(members)):
                yield member.read(file)
            return
    yield from reversed(list(_stored(path)))  # compressed by somebody else, to be read forwards


def _pieces_backwards(file: BinaryIO) -> Iterator[bytes]:
    end, rest = end_of_lines(file.fileno(), os.fstat(file.fileno()).st_size), b""
    while end > 0:
        start = max(0, end - MEMBER_BYTES)
        file.seek(start)
        content = file.read(end - start) + rest
        # What stands before the first newline began further up.
        head, newline, whole = content.partition(b"\n") if start else (b"", b"", content)
        if whole:
            yield whole
        end, rest = start, head + newline
