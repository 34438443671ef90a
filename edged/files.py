"""Make files and symlinks appear whole or not at all, also across a power loss.

Runs in: every process that keeps state on disk. Never: leaves a half-written file under its name.
"""

import errno
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")  # as `_beside` names them


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `content`: temporary name, fsync, rename, fsync the folder."""
    with whole_file(path, mode=mode) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Give a file that takes its name when the block ends well, and else leaves nothing."""
    temporary = _beside(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def point_link(link: Path, target: str) -> None:
    """Point the symlink `link` at `target` by rename, so that it exists at every moment."""
    temporary = _beside(link)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_folder(link.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make every file directly in `folder`, and its entries, survive a power loss."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def remove_leftovers(folder: Path, before_s: float) -> list[Path]:
    """Remove what killed writers left beside files, at any depth; returns what went.

    before_s: seconds since the epoch; what was written later may still be at work.
    """
    removed = []
    for path in folder.rglob(".*.tmp"):
        with suppress(FileNotFoundError):  # its writer has ended well meanwhile
            if _TEMPORARY.fullmatch(path.name) and path.lstat().st_mtime < before_s:
                path.unlink()
                removed.append(path)
    return removed


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def is_deserted(path: Path) -> bool:
    """Tell whether nobody listens on this Unix socket any more."""
    with socket.socket(socket.AF_UNIX) as probe:
        return path.is_socket() and probe.connect_ex(str(path)) == errno.ECONNREFUSED
