"""Notice that a call has overrun, from outside the worker.

Runs in: the process that owns the pool. Never: kills; it says who is overdue.

One timer a worker, re-armed only when it fires, so that a call costs nothing: a check looks at the
shared page and at the head of the queue, and sleeps until the earliest moment something could be
overdue. The page alone is not trusted, since a program that broke out could keep refreshing it: the
head of the queue may not stay the same for longer than its limit by our own clock either.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from edged.pool.values import Call
from edged.sandbox.page import Running

_SLACK_NS: Final = 20_000_000
"""By our own clock, for a call that was not yet begun when first seen at the head of the queue."""


def due_at_ns(held: deque[Call], running: Running, head_since_ns: int) -> int:
    """Return when the worker is overdue, before grace, if nothing changes. held: not empty."""
    head = held[0]
    due_ns = head_since_ns + head.limit_ns + _SLACK_NS
    if not running.since_ns:
        return due_ns
    call = head if head.index == running.call_index else _find(held, running.call_index)
    return due_ns if call is None else min(due_ns, call.ends_at_ns(running.since_ns))


def _find(held: deque[Call], index: int) -> Call | None:
    return next((call for call in held if call.index == index), None)


class Watchdog:
    """Watches what one worker holds."""

    def __init__(
        self,
        held: deque[Call],
        *,
        read_page: Callable[[], Running],
        read_answers: Callable[[], None],
        on_overdue: Callable[[], None],
        grace_ns: int,
    ) -> None:
        """read_answers: takes what was answered out of `held`."""
        self._loop = asyncio.get_running_loop()
        self._held = held
        self._read_page = read_page
        self._read_answers = read_answers
        self._on_overdue = on_overdue
        self._grace_ns = grace_ns
        self._timer: asyncio.TimerHandle | None = None
        self._check_at_ns = 0
        self._head_index = -1
        self._head_since_ns = 0

    def expect(self, shortest_limit_ns: int, now_ns: int) -> None:
        """Look again when a call of this limit, begun now, would be overdue."""
        at_ns = now_ns + shortest_limit_ns + self._grace_ns
        if self._timer is None or at_ns < self._check_at_ns:
            self._arm(at_ns, now_ns)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at_ns: int, now_ns: int) -> None:
        self.stop()  # a check reads answers, and an answer may bring the next call
        self._check_at_ns = at_ns
        self._timer = self._loop.call_later(max(0, at_ns - now_ns) / 1e9, self._check)

    def _check(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns()
        if self._is_overdue(now_ns):
            # It may have answered while this process had no time to read. And the page is read
            # again, since its two words are written without a fence.
            self._read_answers()
            if self._is_overdue(now_ns):
                self._on_overdue()
                return
        if self._held:
            soonest_ns = now_ns + min(call.limit_ns for call in self._held) + self._grace_ns
            self._arm(min(self._due_ns(), soonest_ns), now_ns)

    def _is_overdue(self, now_ns: int) -> bool:
        if not self._held:
            return False
        head_index = self._held[0].index
        if head_index != self._head_index:
            self._head_index, self._head_since_ns = head_index, now_ns
        return self._due_ns() <= now_ns

    def _due_ns(self) -> int:
        due_ns = due_at_ns(self._held, self._read_page(), self._head_since_ns)
        return due_ns + self._grace_ns
