"""How long a program's calls take, and what follows for the workers that run them.

Runs in: the process that owns the pool. Never: hands a call over.
"""

from typing import Final

from edged.pool.settings import PoolSettings
from edged.pool.verdicts import calls_ahead, typical_after
from edged.pool.worker import Worker

_SLOW_NS: Final = 20_000_000
_NICENESS: Final = 10
"""Of workers of programs slower than this: two of them can fill a small machine. Not SCHED_IDLE,
which lets others in even sooner (p99 of two hops between processes beside two busy workers: 2.0 ms
at this niceness, 2.5 without, 0.3): on a busy machine 17 of 42 calls of 500 ms then missed their
deadline of a second, against none."""

_HAND_OVER_NS: Final = 20_000
"""What it takes to wake a worker and to be woken by it. Four workers of a program of 5 µs that took
turns left a machine of two cores no time for the gateway."""


class Pace:
    """Of one version."""

    def __init__(self, settings: PoolSettings, most_calls: int) -> None:
        """most_calls: that a worker may hold."""
        self.typical_run_ns = 0  # 0 until one was measured
        self._ahead_ns = int(settings.ahead_ms * 1e6)
        self._most_calls = most_calls

    def note(self, took_ns: int, calls: int = 1) -> None:
        """took_ns: of all these calls together."""
        self.typical_run_ns = typical_after(self.typical_run_ns, took_ns, calls)

    @property
    def niceness(self) -> int:
        return _NICENESS if self.typical_run_ns > _SLOW_NS else 0

    @property
    def calls_ahead(self) -> int:
        """How many calls a worker may hold."""
        return calls_ahead(self.typical_run_ns, ahead_ns=self._ahead_ns, most=self._most_calls)

    def in_order(self, workers: list[Worker], now_ns: int) -> list[Worker]:
        """Sort who may get calls: the emptiest first, or of a quick program the fullest.

        What runs quicker than it is handed over goes to as few workers as keep up. Last comes who
        runs one call for longer than all that it may hold should take: even a program that is
        mostly quick can be slow once, and its worker is the fullest then.
        """
        if len(workers) == 1:
            return workers
        is_quick = 0 < self.typical_run_ns < _HAND_OVER_NS
        by_held = sorted(workers, key=_held, reverse=is_quick)
        before_ns = now_ns - self._ahead_ns
        return sorted(by_held, key=lambda worker: worker.is_stuck(before_ns))


def _held(worker: Worker) -> int:
    return len(worker.held)
