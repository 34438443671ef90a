"""Mounts of this process's own, which nobody else sees, and an unprivileged user to run under.

Runs in: scripts/chaos. Never: changes a mount that others see; all go with the process.

As root, processes run under a user id that owns nothing else. As anybody else they run as they
are, in a user namespace in which this process alone may mount.
"""

import ctypes
import os
import stat
import sys
from pathlib import Path

from scripts.support.stack import StackError

UNPRIVILEGED = 54_321
_CLONE_NEWNS, _CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_LIBC = ctypes.CDLL(None, use_errno=True)


def enter_private_mounts() -> int | None:
    """Leave everybody else's mounts alone from now on; returns the user to run processes as.

    None: as this one. Raises StackError where the kernel does not permit it.
    """
    if os.geteuid() == 0:
        _check(_LIBC.unshare(_CLONE_NEWNS), "unshare")
        _mount("none", Path("/"), "", _MS_REC | _MS_PRIVATE)
        for folder in (sys.base_prefix, sys.prefix, str(Path(__file__).parents[3])):
            _open_up(Path(folder))
        return UNPRIVILEGED
    user, group = os.geteuid(), os.getegid()
    _check(_LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return None


class SmallDisk:
    """A tmpfs of a few megabytes. Raises StackError where the kernel refuses."""

    def __init__(self, path: Path, size_mb: int) -> None:
        self._path = path
        self._size = f"size={size_mb}m"
        self._ballast = path / ".ballast"

    def mount(self, user: int | None) -> None:
        self._path.mkdir(parents=True)
        _mount("tmpfs", self._path, "tmpfs", 0, self._size)
        if user is not None:
            os.chown(self._path, user, user)

    def unmount(self) -> None:
        _check(_LIBC.umount2(bytes(self._path), 2), "umount")  # 2: also while it is in use

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def try_make_read_only(self) -> bool:
        """Return False while somebody has a file open for writing; a kernel rule."""
        try:
            _mount("tmpfs", self._path, "tmpfs", _MS_REMOUNT | _MS_RDONLY, self._size)
        except StackError:
            return False
        return True

    def make_writable(self) -> None:
        _mount("tmpfs", self._path, "tmpfs", _MS_REMOUNT, self._size)


def _open_up(folder: Path) -> None:
    """Show a folder that lies in somebody's closed home at the same path, to everybody."""
    closed = next(
        (p for p in reversed(folder.parents) if not p.stat().st_mode & stat.S_IXOTH), None
    )
    if closed is None:
        return
    kept = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    _mount("tmpfs", closed, "tmpfs", 0, "mode=755,size=1m")
    folder.mkdir(parents=True)
    _mount(f"/proc/self/fd/{kept}", folder, "", _MS_BIND)
    os.close(kept)


def _mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    done = _LIBC.mount(
        source.encode(), bytes(target), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _check(done, f"mount {target}")


def _check(done: int, what: str) -> None:
    if done:
        raise StackError(f"{what}: {os.strerror(ctypes.get_errno())}")
