"""Decide when a version has ended its workers too often to be run any more.

Pure. A program that breaks the barriers' rules, or crashes its process again and again, costs a
respawn each time and may be probing for a way out. What merely takes too long is no strike: that is
an outcome, and rollouts judge outcomes.
"""

from collections import deque

from edged.pool.settings import PoolSettings
from edged.pool.verdicts import Cause

_CRASHES = {
    Cause.CRASHED: "crashed its process",
    Cause.EXITED: "ended its process",
    Cause.LEFT: "ended its process",
}


class Strikes:
    """What one version did to its workers lately."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._violations: deque[int] = deque()  # when, in ns, not older than the window
        self._crashes: deque[int] = deque()

    def add(self, cause: Cause, now_ns: int) -> str:
        """Note how a worker ended, not by our wish; return why the version is unfit, or nothing."""
        settings = self._settings
        if cause is Cause.VIOLATION:
            count, most = self._count(self._violations, now_ns), settings.quarantine_violations
            what = "made a forbidden system call"
        elif cause in _CRASHES:
            count, most = self._count(self._crashes, now_ns), settings.quarantine_crashes
            what = _CRASHES[cause]
        else:
            return ""
        if count < most:
            return ""
        return f"it {what} {count} times within {settings.quarantine_window_s:g} s"

    def _count(self, times_ns: deque[int], now_ns: int) -> int:
        times_ns.append(now_ns)
        since_ns = now_ns - int(self._settings.quarantine_window_s * 1e9)
        while times_ns[0] < since_ns:
            times_ns.popleft()
        return len(times_ns)
