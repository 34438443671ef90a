"""Keep the daily statistics up to date.

Runs in: the agent, in a thread. Talks to: the execution log, analytics/. Never: sends anything.
"""

import asyncio
import threading
from collections.abc import Callable

import structlog

from edged.datasets.counting import DayCounter
from edged.datasets.layout import Layout

log = structlog.get_logger()
COUNT_INTERVAL_S = 15.0


class Statistician:
    """Counts what is new, four times a minute, and saves what it counted before it stops."""

    def __init__(self, layout: Layout) -> None:
        self.counter = DayCounter(layout)
        self._counting = threading.Lock()  # a thread outlives the task that waited for it
        self._is_over = False

    async def run(self) -> None:
        try:
            while True:
                await asyncio.to_thread(self._count)
                await asyncio.sleep(COUNT_INTERVAL_S)
        finally:
            self._is_over = True
            self._count()

    def forget_outputs(self, task: str, is_gone: Callable[[str], bool]) -> None:
        """Count outputs that an erasure took under no name of their own. Raises OSError."""
        with self._counting:
            self.counter.forget_outputs(task, is_gone)

    def _count(self) -> None:
        with self._counting:
            try:
                self.counter.count(lambda: self._is_over)
                self.counter.save()
            except OSError as error:
                log.warning("statistics_not_saved", reason=str(error))
