"""Lock this process: every barrier between a program and the machine, in one visible order.

Runs in: a worker, between fork and the first byte of program text. Never: opens a barrier again,
or claims one that a probe has not confirmed.

The order matters. Closing files and asking to die with the parent need nothing, so they come first.
The user is given up before no_new_privs; changing it clears the parent-death signal, so that is
asked again. Landlock needs one file descriptor, so it comes before RLIMIT_NOFILE (the other way
round silently lost Landlock once). Seccomp is last because it forbids all the calls above.

The network, IPC and host-name namespaces are left once, by the zygote: every worker is born
outside, and none pays for it.
"""

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from edged.sandbox import kernel, layers, seccomp

# The range that systemd keeps for dynamic users: no account of the host is inside.
FIRST_UID: Final = 61184
UID_COUNT: Final = 4336

_NOWHERE: Final = "/dev/null"
_STANDARD_STREAMS: Final = (0, 1, 2)
_ABOVE_ANY_FD: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Achieved:
    """What holds in this worker: each field was probed after it was set."""

    dies_with_parent: bool
    uid_dropped: bool
    no_new_privs: bool
    not_dumpable: bool
    no_executable_memory: bool
    landlock_abi: int  # 0: not locked
    rlimits: bool
    seccomp: bool

    @property
    def landlock(self) -> bool:
        return self.landlock_abi > 0

    def as_json(self) -> dict[str, bool | int]:
        return asdict(self)


def lock(
    *,
    worker_id: int,
    keep_fds: Iterable[int],
    memory_bytes: int,
    without: frozenset[str] = layers.NOTHING,
) -> Achieved:
    """Put up every barrier that this machine allows, then test them.

    keep_fds: the only files that stay open, besides the standard streams, which lead nowhere.
    memory_bytes: of address space, in all. without: layers that a trial leaves out.
    """
    _close_files(keep_fds)
    kernel.die_with_parent()
    uid = FIRST_UID + worker_id % UID_COUNT
    uid_dropped = layers.UID not in without and _become_nobody(uid)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    dies_with_parent = kernel.die_with_parent()
    kernel.prctl(kernel.PR_SET_MDWE, 1)
    landlock_abi = 0 if layers.LANDLOCK in without else _deny_files()
    not_dumpable = kernel.prctl(kernel.PR_GET_DUMPABLE) == 0
    no_new_privs = kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) == 1
    rlimits = _limit_resources(memory_bytes) if layers.RLIMITS not in without else _spare_machine()
    seccomp_loaded = layers.SECCOMP not in without and _filter_system_calls()
    return Achieved(
        dies_with_parent=dies_with_parent,
        uid_dropped=uid_dropped,
        no_new_privs=no_new_privs,
        not_dumpable=not_dumpable,
        no_executable_memory=not kernel.can_map_executable(),
        landlock_abi=landlock_abi,
        rlimits=rlimits,
        seccomp=seccomp_loaded and _files_are_refused(),
    )


def used_address_space_bytes(statm_fd: int) -> int:
    """Return the size of this process. statm_fd: /proc/self/statm, opened before the lock."""
    pages = os.pread(statm_fd, 64, 0).split(b" ", 1)[0]
    return int(pages) * resource.getpagesize()


def _close_files(keep_fds: Iterable[int]) -> None:
    nowhere = os.open(_NOWHERE, os.O_RDWR)
    for stream in _STANDARD_STREAMS:
        os.dup2(nowhere, stream)
    low = len(_STANDARD_STREAMS)
    for fd in [*sorted(keep_fds), _ABOVE_ANY_FD]:
        os.closerange(low, fd)
        low = fd + 1


def _become_nobody(uid: int) -> bool:
    """Take a user of its own, so that workers can neither signal nor trace each other."""
    if os.geteuid() != 0:
        return False
    with contextlib.suppress(OSError):  # a user namespace may know no such user
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    return os.getresuid() == (uid, uid, uid) and os.getresgid() == (uid, uid, uid)


def _deny_files() -> int:
    abi = kernel.landlock_abi()
    if abi == 0 or not kernel.landlock_deny_all(abi):
        return 0
    return abi if _answer_of(_open_root) == errno.EACCES else 0


def _limit_resources(memory_bytes: int) -> bool:
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (most, most))
    return all(resource.getrlimit(which) == (most, most) for which, most in limits.items())


def _spare_machine() -> bool:
    """Keep a trial without limits from taking the machine down; this is no barrier."""
    share_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8
    resource.setrlimit(resource.RLIMIT_AS, (share_bytes, share_bytes))
    return False


def _filter_system_calls() -> bool:
    machine = os.uname().machine
    return seccomp.supports(machine) and kernel.load_filter(
        seccomp.assemble(machine, pid=os.getpid())
    )


def _files_are_refused() -> bool:
    """Tell the filter's own answer from those of Landlock and of the user's rights."""
    return _answer_of(_open_root) == _answer_of(Path("/").stat) == errno.EPERM


def _open_root() -> None:
    os.close(os.open("/", os.O_RDONLY))


def _answer_of(act: Callable[[], object]) -> int:
    """Return the error number that the kernel gave, 0 when it obeyed."""
    try:
        act()
    except OSError as error:
        return error.errno or 0
    return 0
