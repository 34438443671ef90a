"""The soft deadline: a timer signal that stops a program from inside.

Runs in: a worker. Never: stops C code that does not come back to the interpreter; the pool's
SIGKILL does that.

The timer fires again every 10 ms, because a program may sit in a `finally` when the first exception
comes, and an exception inside a finaliser is dropped by the interpreter. So the firing is also
remembered: a call whose deadline fired is a TIMEOUT however it ended.
"""

import signal
from types import FrameType
from typing import Final

REFIRE_S: Final = 0.010


class DeadlinePassed(BaseException):
    """Not an Exception, so that no program can name or catch it."""


class SoftDeadline:
    """One timer, armed around each call. At most one object a process: it owns SIGALRM."""

    def __init__(self) -> None:
        self.has_fired = False
        self.is_held = False  # while set, firing waits for the next time
        self._is_armed = False

    def install(self) -> None:
        """Take SIGALRM over; before the process is locked."""
        signal.signal(signal.SIGALRM, self._on_alarm)

    def arm(self, after_ns: int) -> None:
        """Raise DeadlinePassed in the running code after `after_ns`, and again until disarmed."""
        self.has_fired = False
        self._is_armed = True
        signal.setitimer(signal.ITIMER_REAL, max(after_ns, 1_000) / 1e9, REFIRE_S)

    def disarm(self) -> None:
        # The flag first: a signal that is already on its way must find nothing to do.
        self._is_armed = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _on_alarm(self, _signal: int, _frame: FrameType | None) -> None:
        if self._is_armed and not self.is_held:
            self.has_fired = True
            raise DeadlinePassed
