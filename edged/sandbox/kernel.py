"""The few kernel calls that Python does not wrap, through ctypes.

Owns: prctl, seccomp's filter, Landlock, unshare, and how they are called. Runs in: the zygote and
the workers, while they lock themselves. Never: decides what to lock; `jail` does.

Every function answers whether the kernel agreed. An old kernel, a container profile or a missing
capability is an ordinary answer here, never an exception: the jail reports what it achieved.
"""

import ctypes
import mmap
import os
import signal
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_GET_SECCOMP: Final = 21
PR_SET_SECCOMP: Final = 22
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
PR_SET_MDWE: Final = 65
SECCOMP_MODE_FILTER: Final = 2

CLONE_NEWUTS: Final = 0x0400_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWNET: Final = 0x4000_0000

# The same numbers on x86_64, aarch64 and every architecture since Linux 5.1.
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_ASK_VERSION: Final = 1

# Each ABI version adds rights; a right that is handled and granted to nobody is denied.
_FS_RIGHTS_BY_ABI: Final = ((1, 13), (2, 14), (3, 15), (5, 16))
_TCP_RIGHTS: Final = 0b11  # bind, connect; ABI 4
_SCOPES: Final = 0b11  # abstract Unix sockets, signals; ABI 6

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_libc.syscall.restype = ctypes.c_long
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]


class _FilterProgram(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_fs", ctypes.c_uint64),
        ("handled_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def prctl(option: int, value: int = 0, address: int = 0) -> int:
    """Return what the kernel answered, or minus the error number."""
    answer = int(_libc.prctl(option, value, address, 0, 0))
    return answer if answer >= 0 else -ctypes.get_errno()


def die_with_parent() -> bool:
    """Ask for SIGKILL when the thread that started this process ends."""
    return prctl(PR_SET_PDEATHSIG, signal.SIGKILL) == 0


def leave_namespaces(flags: int) -> bool:
    """Leave the namespaces that `flags` names; needs CAP_SYS_ADMIN."""
    return int(_libc.unshare(flags)) == 0


def load_filter(instructions: bytes) -> bool:
    """Install a seccomp filter. Needs no_new_privs first; cannot be undone."""
    text = ctypes.create_string_buffer(instructions, len(instructions))
    program = _FilterProgram(len(instructions) // 8, ctypes.addressof(text))
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program)) == 0


def landlock_abi() -> int:
    """Return the kernel's Landlock version, 0 where it has none."""
    version = _libc.syscall(
        _LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_ASK_VERSION
    )
    return max(0, int(version))


def landlock_deny_all(abi: int) -> bool:
    """Give up every file-system right, TCP, foreign signals and abstract sockets."""
    rights = max((bits for since, bits in _FS_RIGHTS_BY_ABI if abi >= since), default=0)
    ruleset = _Ruleset(
        (1 << rights) - 1, _TCP_RIGHTS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0
    )
    # An older kernel refuses a structure longer than its own.
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    fd = int(
        _libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    )
    if fd < 0:
        return False
    agreed = int(_libc.syscall(_LANDLOCK_RESTRICT_SELF, fd, 0)) == 0
    os.close(fd)
    return agreed


def can_map_executable() -> bool:
    """Try to get a writable and executable page: the first thing injected code needs."""
    prot = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = _libc.mmap(None, mmap.PAGESIZE, prot, flags, -1, 0)
    return bool(address != ctypes.c_void_p(-1).value)
