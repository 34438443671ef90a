"""One spawned process of ours: it imports what it needs, then waits for its turn.

Runs in: the supervisor. Never: forks without exec.

Importing is most of a start. A process that has done it and waits takes over from a dead one in the
time of its real work, also on a machine that is busy.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress

from edged.inheritance import Inheritance, Turn


class Process:
    """Spawned at once; works from `go` on."""

    def __init__(self, module: str, descriptors: dict[str, int]) -> None:
        """descriptors: what it inherits, by name. Its environment holds what Python needs."""
        self.is_ready = False
        self._turn = Turn.create()
        self.ready_fd, theirs = os.pipe()  # readable when the process does its work, or has died
        self._descriptors = {**descriptors, "ready": theirs}
        self._popen = subprocess.Popen(
            [sys.executable, "-m", module, *self._turn.words],
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"},
            pass_fds=(*self._turn.theirs, *self._descriptors.values()),
            stdin=subprocess.DEVNULL,
            # A terminal's Ctrl-C reaches the supervisor alone, which drains in order.
            process_group=0,
        )
        self._turn.close_theirs()
        os.close(theirs)
        self.pidfd = os.pidfd_open(self._popen.pid)  # readable when the process has ended

    @property
    def pid(self) -> int:
        return self._popen.pid

    def go(self, inheritance: Inheritance) -> None:
        """Let it work with these settings."""
        self._turn.give(inheritance.with_descriptors(self._descriptors))

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def take_ready(self) -> None:
        """Read the ready pipe; an end without a byte means that the process died first."""
        self.is_ready = os.read(self.ready_fd, 1) == b"1"
        os.close(self.ready_fd)
        self.ready_fd = -1

    def reap(self) -> int:
        """Collect the ended process and return its exit code, negative for a signal."""
        code = self._popen.wait()
        self._turn.close()
        for descriptor in (self.pidfd, self.ready_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self.pidfd = self.ready_fd = -1
        self.is_ready = False
        return code
