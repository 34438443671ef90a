"""The clean image that workers are forked from, and the only process here that forks.

Runs in: its own process, exec'd as `python -I` with an empty environment before its parent has read
a secret into it. Talks to: its pool, over one control socket. Never: starts a thread or an event
loop, sees program text, or outlives its pool: it dies with its parent's thread, and leaves when the
socket closes.

A fork of a warmed interpreter takes 3 to 4 ms where a fresh one takes 100. Whatever the standard
library imports behind a program's back (`strptime` does) is imported here already, by `preload`:
after the lock no file can be opened.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from edged.sandbox import kernel, layers, worker
from edged.sandbox.control import Order, Setup, receive, send
from edged.sandbox.exits import EXIT_BROKEN
from edged.sandbox.proof import forbidden_acts_that_kill

_NAMESPACES = {
    "net": kernel.CLONE_NEWNET,
    "ipc": kernel.CLONE_NEWIPC,
    "uts": kernel.CLONE_NEWUTS,
}


def main(control_fd: int) -> None:
    """Serve one pool until it goes away. control_fd: an inherited packet socket."""
    kernel.die_with_parent()
    # Ctrl-C reaches the whole group of a terminal; the pool's owner decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.clear()  # noqa: TID251 # the interpreter itself has put LC_CTYPE there
    with socket.socket(fileno=control_fd) as control:
        order = receive(control)
        if order is None:
            return
        setup = Setup.unpack(order.text)
        if os.getppid() != setup.parent_pid:
            return  # the parent died before it could be asked for
        Zygote(control, setup).run()


class Zygote:
    """Forks workers on demand and reports how each one ended."""

    def __init__(self, control: socket.socket, setup: Setup) -> None:
        self._control = control
        self._setup = setup
        self._worker_ids: dict[int, int] = {}  # by pidfd; readable once the worker has ended
        self._events = select.poll()

    def run(self) -> None:
        without = self._setup.without
        if self._setup.has_monty:  # an optional part: only who runs programs on it loads it
            importlib.import_module("edged.sandbox.monty")
        report = {
            "clean_zygote": _is_clean(),
            "namespaces_left": [] if layers.NAMESPACES in without else _leave_namespaces(),
            "kills": forbidden_acts_that_kill(without),
            "python": sys.version.split()[0],
        }
        _warm()
        send(self._control, Order.HELLO, value=os.getpid(), text=json.dumps(report).encode())
        self._events.register(self._control, select.POLLIN)
        while self._serve_events():
            pass
        self._end_workers()

    def _serve_events(self) -> bool:
        for fd, _event in self._events.poll():
            if fd != self._control.fileno():
                self._reap(fd)
            elif not self._obey():
                return False
        return True

    def _obey(self) -> bool:
        order = receive(self._control)
        if order is None:
            return False
        try:
            self._spawn(order.worker_id, *order.fds)
        except OSError:  # no memory or no process left: the pool decides whether to try again
            send(self._control, Order.EXITED, order.worker_id, EXIT_BROKEN)
        finally:
            for fd in order.fds:
                os.close(fd)
        return True

    def _spawn(self, worker_id: int, channel_fd: int, page_fd: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_worker(worker_id, channel_fd, page_fd)
        pidfd = os.pidfd_open(pid)
        self._worker_ids[pidfd] = worker_id
        self._events.register(pidfd, select.POLLIN)
        send(self._control, Order.SPAWNED, worker_id, pid, fds=(pidfd,))

    def _become_worker(self, worker_id: int, channel_fd: int, page_fd: int) -> NoReturn:
        # Its number is about to be closed and may mean another file to the worker.
        self._control.detach()
        worker.serve(
            worker_id=worker_id,
            channel=socket.socket(fileno=channel_fd),
            page_fd=page_fd,
            memory_bytes=self._setup.memory_bytes,
            require=self._setup.require,
            without=self._setup.without,
        )

    def _end_workers(self) -> None:
        """Reap here: whoever inherits orphans may not, a container's first process least of all."""
        for pidfd in self._worker_ids:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        for pidfd in self._worker_ids:
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED)

    def _reap(self, pidfd: int) -> None:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        self._events.unregister(pidfd)
        os.close(pidfd)
        worker_id = self._worker_ids.pop(pidfd)
        was_killed = ended is not None and ended.si_code != os.CLD_EXITED
        status = 0 if ended is None else ended.si_status
        send(self._control, Order.EXITED, worker_id, -status if was_killed else status)


def _is_clean() -> bool:
    """Isolated, without an environment, single-threaded: probed, since all of it is inherited."""
    process = Path("/proc/self")
    return (
        bool(sys.flags.isolated)
        and not (process / "environ").read_bytes()
        and len(list((process / "task").iterdir())) == 1
    )


def _leave_namespaces() -> list[str]:
    """Return the names of those that were really left."""
    return [name for name, flag in _NAMESPACES.items() if _leave_namespace(name, flag)]


def _leave_namespace(name: str, flag: int) -> bool:
    link = Path("/proc/self/ns") / name
    before = link.readlink()
    return kernel.leave_namespaces(flag) and link.readlink() != before


def _warm() -> None:
    """Put what exists now out of the collector's sight, so that forks share its memory."""
    gc.collect()
    gc.freeze()
