"""One child process: spawned with its inheritance, known by a pidfd, restarted with back-off.

Runs in: the supervisor. Never: forks without exec.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import structlog

from edged.decisions.backoff import full_jitter_s
from edged.inheritance import Inheritance

log = structlog.get_logger()
STEADY_AFTER_S = 2.0  # four times what a start takes: this child did not fail at its start


class Child:
    """A process that should be running. clock: monotonic seconds."""

    def __init__(
        self,
        name: str,
        module: str,
        inheritance: Inheritance,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.pidfd = -1  # readable when the process has ended
        self.ready_fd = -1  # readable when the process does its work
        self.restart_at_s: float | None = None
        self.is_ready = False
        self.inheritance = inheritance  # of the next start
        self._module = module
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._quick_deaths = 0

    def start(self) -> None:
        """Spawn. The environment holds nothing but what Python and a shell need."""
        ready, theirs = os.pipe()
        descriptors = {**self.inheritance.descriptors, "ready": theirs}
        message = Inheritance(
            settings=self.inheritance.settings,
            descriptors=descriptors,
            grpc_address=self.inheritance.grpc_address,
            control_path=self.inheritance.control_path,
            parent=os.getpid(),
        ).send()
        command = [sys.executable, "-m", self._module, str(message)]
        self._process = subprocess.Popen(
            command,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"},
            pass_fds=(message, *descriptors.values()),
            stdin=subprocess.DEVNULL,
            # A terminal's Ctrl-C reaches the supervisor alone, which drains in order.
            process_group=0,
        )
        os.close(message)
        os.close(theirs)
        self.pidfd = os.pidfd_open(self._process.pid)
        self.ready_fd = ready
        self.is_ready = False
        self.restart_at_s = None
        self._started_s = self._clock()
        log.info("child_started", child=self.name, pid=self._process.pid)

    @property
    def is_alive(self) -> bool:
        return self._process is not None

    def signal(self, number: signal.Signals) -> None:
        if self.is_alive:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def take_ready(self) -> None:
        """Read the ready pipe; an end without a byte means that the child died first."""
        self.is_ready = os.read(self.ready_fd, 1) == b"1"
        os.close(self.ready_fd)
        self.ready_fd = -1

    def reap(self) -> int:
        """Collect the ended process and return its exit code, negative for a signal."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        code = self._process.wait()
        self._process = None
        for descriptor in (self.pidfd, self.ready_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self.pidfd = self.ready_fd = -1
        self.is_ready = False
        return code

    def schedule_restart(self) -> float:
        """Restart at once after a steady life, later and later otherwise. Returns the delay."""
        now_s = self._clock()
        is_steady = now_s - self._started_s >= STEADY_AFTER_S
        self._quick_deaths = 0 if is_steady else self._quick_deaths + 1
        # The first quick deaths are as likely an operator's kills as a bug: no delay.
        delay_s = (
            full_jitter_s(self._quick_deaths, base_s=0.05, cap_s=10)
            if self._quick_deaths > 3
            else 0.0
        )
        self.restart_at_s = now_s + delay_s
        return delay_s
