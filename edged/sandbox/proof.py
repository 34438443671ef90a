"""Prove that forbidden acts kill: sacrifice one locked process for each and see what it dies of.

Runs in: the zygote, once, before the first worker. Never: trusts that a filter which was installed
also works. What a worker can test of itself (files, executable memory) it tests each time.
"""

import os
import signal
import socket
from collections.abc import Callable
from typing import Final

from edged.sandbox import jail

_OBEYED: Final = 1
_MEMORY_BYTES: Final = 1 << 32


def _open_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _run_program() -> None:
    os.execv("/proc/self/exe", ["proof"])  # noqa: S606 - that this fails is what is tested


def _signal_another() -> None:
    os.kill(os.getpid(), signal.SIGURG)


FORBIDDEN: Final[dict[str, Callable[[], None]]] = {
    "socket": _open_socket,
    "fork": _fork,
    "exec": _run_program,
    "signal": _signal_another,
}


def forbidden_acts_that_kill(without: frozenset[str]) -> dict[str, bool]:
    """Return, for each act, whether the kernel killed the process that tried it."""
    pids = {name: _sacrifice(act, without) for name, act in FORBIDDEN.items()}
    return {name: _died_of_filter(pid) for name, pid in pids.items()}


def _sacrifice(act: Callable[[], None], without: frozenset[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        jail.lock(worker_id=0, keep_fds=(), memory_bytes=_MEMORY_BYTES, without=without)
        act()
    finally:
        os._exit(_OBEYED)


def _died_of_filter(pid: int) -> bool:
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
