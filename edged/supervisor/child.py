"""One part of edged that should be running: its process, the one in waiting, those that leave.

Runs in: the supervisor. Never: decides when the whole stops.
"""

import signal
from collections.abc import Callable, Iterator

import structlog

from edged.decisions.backoff import full_jitter_s
from edged.inheritance import Inheritance
from edged.supervisor.process import Process

log = structlog.get_logger()
STEADY_AFTER_S = 2.0  # four times what a start takes: this child did not fail at its start
STANDBY_AGAIN_S = 5.0  # after one that died while it waited


class Child:
    """Restarted with back-off when it ends, at once where another process waits.

    Invariant: `active` works or is about to; `standby` only waits; `leaving` drain.
    """

    def __init__(
        self,
        name: str,
        module: str,
        inheritance: Inheritance,
        clock: Callable[[], float],
        *,
        keeps_standby: bool,
    ) -> None:
        """inheritance: of the next start. clock: monotonic seconds."""
        self.name = name
        self.inheritance = inheritance
        self.restart_at_s: float | None = None
        self.active: Process | None = None
        self.standby: Process | None = None
        self.successor: Process | None = None  # works soon; then `active` leaves
        self.leaving: dict[Process, float] = {}  # and when it is killed, if it is still there
        self._module = module
        self._clock = clock
        self._keeps_standby = keeps_standby
        self._standby_at_s = 0.0
        self._started_s = 0.0
        self._quick_deaths = 0

    @property
    def is_ready(self) -> bool:
        return self.active is not None and self.active.is_ready

    @property
    def is_alive(self) -> bool:
        return self.active is not None

    def processes(self) -> Iterator[Process]:
        waiting = (self.active, self.successor, self.standby)
        yield from (process for process in waiting if process is not None)
        yield from list(self.leaving)

    def start(self) -> None:
        """Let a process work: the one in waiting, else a new one."""
        self.active = self._next()
        self.restart_at_s = None
        self._started_s = self._clock()
        log.info("child_started", child=self.name, pid=self.active.pid)

    def keep_standby(self) -> None:
        """Have a process wait, once the active one does its work."""
        wants = self._keeps_standby and self.standby is None and self.is_ready
        if wants and self._clock() >= self._standby_at_s:
            self.standby = Process(self._module, self.inheritance.descriptors)

    def roll(self) -> None:
        """Begin to replace the active process without a pause."""
        if self.successor is None and self.is_ready:
            self.successor = self._next()
            log.info("child_rolling", child=self.name, pid=self.successor.pid)

    def hand_over(self, grace_s: float) -> None:
        """Retire the active process if its successor works; it has `grace_s` to leave."""
        if self.successor is None or not self.successor.is_ready:
            return
        if self.active is not None:
            self.active.signal(signal.SIGTERM)
            self.leaving[self.active] = self._clock() + grace_s
        self.active, self.successor = self.successor, None
        self._started_s = self._clock()
        log.info("child_started", child=self.name, pid=self.active.pid)

    def kill_overdue(self) -> None:
        for process, due_s in self.leaving.items():
            if self._clock() >= due_s:
                process.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        if self.active is not None:
            self.active.signal(number)

    def reap(self, process: Process) -> int | None:
        """Collect an ended process; return its exit code if it was the active one."""
        code = process.reap()
        if process is self.active:
            self.active = None
            return code
        if process is self.standby:
            self.standby = None
            self._standby_at_s = self._clock() + STANDBY_AGAIN_S
        if process is self.successor:
            self.successor = None
            log.warning("successor_failed", child=self.name, code=code)
        self.leaving.pop(process, None)
        return None

    def dismiss(self) -> None:
        """End whatever only waits or is about to work."""
        for process in (self.standby, self.successor):
            if process is not None:
                process.signal(signal.SIGKILL)
                process.reap()
        self.standby = self.successor = None

    def schedule_restart(self, *, was_asked: bool) -> float:
        """Restart at once after a steady life, later and later otherwise. Returns the delay.

        was_asked: somebody told it to end, and it did so in order.
        """
        now_s = self._clock()
        is_steady = was_asked or now_s - self._started_s >= STEADY_AFTER_S
        self._quick_deaths = 0 if is_steady else self._quick_deaths + 1
        # The first quick deaths are as likely an operator's kills as a bug: no delay.
        delay_s = (
            full_jitter_s(self._quick_deaths, base_s=0.05, cap_s=10)
            if self._quick_deaths > 3
            else 0.0
        )
        self.restart_at_s = now_s + delay_s
        return delay_s

    def _next(self) -> Process:
        process, self.standby = self.standby, None
        if process is None:
            process = Process(self._module, self.inheritance.descriptors)
        process.go(self.inheritance)
        return process
