"""The soft deadline: a timer signal that stops a program from inside.

Runs in: a worker. Never: stops C code that does not come back to the interpreter; the pool's
SIGKILL does that.

The timer fires again every 10 ms, because a program may sit in a `finally` when the first exception
comes, and an exception inside a finaliser is dropped by the interpreter. So the firing is also
remembered: a call whose deadline fired is a TIMEOUT however it ended.

The timer is not set and cleared for every call, which would cost 1.4 µs each. It is left running
when a call ends in time; if it rings during a later one that is not due yet, it is set again for
the rest. So a program of 10 µs with a limit of a second sets it once in a hundred thousand calls.
"""

import signal
import time
from types import FrameType
from typing import Final

REFIRE_S: Final = 0.010
_NEVER: Final = 2**63


class DeadlinePassed(BaseException):
    """Not an Exception, so that no program can name or catch it."""


class SoftDeadline:
    """One timer for all calls. At most one object a process: it owns SIGALRM."""

    def __init__(self) -> None:
        self.has_fired = False
        self.is_held = False  # while set, firing waits for the next time
        self._due_ns = 0  # of what runs now; 0 when nothing does
        self._rings_ns = _NEVER  # when the timer will ring, at the latest

    def install(self) -> None:
        """Take SIGALRM over; before the process is locked."""
        signal.signal(signal.SIGALRM, self._on_alarm)

    def arm(self, now_ns: int, due_ns: int) -> None:
        """Raise DeadlinePassed in the running code at `due_ns`, and again until disarmed."""
        self.has_fired = False
        self._due_ns = due_ns
        if due_ns < self._rings_ns:
            self._ring(now_ns, due_ns)

    def disarm(self) -> None:
        # First of all: a signal that is already on its way must find nothing to do.
        self._due_ns = 0
        if self.has_fired:
            self._silence()

    def _ring(self, now_ns: int, due_ns: int) -> None:
        self._rings_ns = due_ns
        signal.setitimer(signal.ITIMER_REAL, max(due_ns - now_ns, 1_000) / 1e9, REFIRE_S)

    def _silence(self) -> None:
        self._rings_ns = _NEVER
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _on_alarm(self, _signal: int, _frame: FrameType | None) -> None:
        due_ns = self._due_ns
        if not due_ns:
            self._silence()
            return
        now_ns = time.monotonic_ns()
        if now_ns < due_ns:
            self._ring(now_ns, due_ns)
        elif not self.is_held:
            self.has_fired = True
            raise DeadlinePassed
