"""The workers of one version, as a number: when one more comes, and when one goes.

Runs in: the process that owns the pool. Talks to: the crew, which lends them. Never: hands a worker
a call, or settles what one held.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from edged.pool.settings import PoolSettings
from edged.pool.terms import Terms
from edged.pool.worker import Worker

_WORKERS_AFTER_LOSS: Final = 2


class Staff:
    """Invariant: `workers` are those that serve; `coming` more have been asked for."""

    def __init__(self, settings: PoolSettings, terms: Terms, want: Callable[..., bool]) -> None:
        """want: of the version's lender, for this version."""
        self.workers: list[Worker] = []
        self.coming = 0
        self.may_ask = True  # for a successor; every second, if there is no room for one
        self._settings = settings
        self._terms = terms
        self._want = want
        self._leaving: set[Worker] = set()  # released; they finish what they hold

    def __iter__(self) -> Iterator[Worker]:
        """Yield who may hold a call."""
        return chain(self.workers, self._leaving)

    def grow(self, *, takes_idle: bool = True) -> bool:
        """Ask for one more worker; tell whether it will come."""
        if len(self.workers) + self.coming >= self._settings.workers_per_version:
            return False
        will_come = self._want(takes_idle=takes_idle)
        self.coming += will_come
        return will_come

    def keep_minimum(self) -> None:
        # Without others' idle workers: two versions would take them from each other for ever.
        while len(self.workers) + self.coming < self._terms.least_workers:
            if not self.grow(takes_idle=False):
                return

    def replace(self) -> None:
        """Ask for what a loss makes wanted."""
        # Who lost one worker will lose the next: the second is loaded and waits, so that even a
        # program that takes long to load answers at once.
        least = 1 if self._terms.is_shared else _WORKERS_AFTER_LOSS
        while len(self.workers) + self.coming < least:
            if not self.grow():
                return

    def recycle(self, worker: Worker, *, is_warming: bool) -> None:
        """Replace a worker: it serves on, where it may, until its successor has loaded.

        is_warming: whether one of the others is, and so on its way.
        """
        if not self._terms.has_overlap:
            self.release(worker)
            self.grow(takes_idle=False)  # if not now, then in its place when it is gone
        elif not self.coming and not is_warming and self.may_ask:
            # A refusal holds for a while: to ask walks over all versions.
            self.may_ask = self._want(takes_idle=True)
            self.coming += self.may_ask

    def relieve(self) -> None:
        """Release the worker whose successor has come."""
        share = self._terms.recycle_after_calls
        served = next((worker for worker in self.workers if worker.answered >= share), None)
        if served is not None:
            self.release(served)

    def release(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self._leaving.add(worker)
        worker.leave()

    def release_idle(self) -> bool:
        """Give back one worker that holds nothing; tell whether there was one."""
        idle = next((worker for worker in self.workers if not worker.held), None)
        if idle is not None:
            self.release(idle)
        return idle is not None

    def shrink(self, quiet_ns: int) -> None:
        """Give back what was not needed for long."""
        settings = self._settings
        if quiet_ns < settings.shrink_after_s * 1e9:
            return
        least = 0 if quiet_ns >= settings.sleep_after_s * 1e9 else 1
        if len(self.workers) > max(least, self._terms.least_workers):
            self.release_idle()

    def lose(self, worker: Worker) -> bool:
        """Take note that a worker is gone; tell whether it was serving."""
        was_serving = worker in self.workers
        if was_serving:
            self.workers.remove(worker)
        self._leaving.discard(worker)
        return was_serving
