"""All workers of a pool: which are blank, which are wanted, which serve whom.

Runs in: the process that owns the pool. Talks to: the workers, and births.py, which has them
forked. Never: queues a call.

A blank worker is locked and has no program. One is kept spare, so that a version which lost its
worker waits only for its program to load.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from edged.pool.births import Births
from edged.pool.errors import LoadFailed
from edged.pool.refused import read_refused
from edged.pool.report import JailReport
from edged.pool.settings import PoolSettings
from edged.pool.verdicts import Cause, refusal_of
from edged.pool.version import Version
from edged.pool.worker import Stage, Worker
from edged.pool.zygote import Image
from edged.sandbox.page import Running
from edged.sandbox.refusals import ProgramRefused

log = structlog.get_logger(__name__)


class Crew:
    """Invariant: a jailed worker is spare, or lent to one version; lent ones may be loading."""

    def __init__(
        self,
        settings: PoolSettings,
        versions: Callable[[], Iterable[Version]],
        on_first_ready: Callable[[], None],
        image: Image,
    ) -> None:
        """versions: those that may be asked to give a worker back."""
        self.executions = 0
        self.kills = 0
        self.respawns = 0
        self._settings = settings
        self._versions = versions
        self._births = Births(settings, image, self, self._refill, on_first_ready)
        self._workers = self._births.workers
        self._spares: list[Worker] = []
        self._loading: set[int] = set()
        self._lent: dict[int, Version] = {}
        self._wanted: deque[Version] = deque()  # at most max_workers
        self._turns: deque[Version] = deque()  # they wait for a shared worker that others use

    async def live(self) -> str:
        """Start a zygote and stay until it dies; return its last words.

        Raises IsolationTooWeak or PoolStopped. Every worker dies with it.
        """
        return await self._births.live(self._tend)

    def _tend(self) -> None:
        """Have every version ask for workers that it misses, or give back what it does not need."""
        now_ns = time.monotonic_ns()
        for version in self._versions():
            version.tend(now_ns)

    @property
    def report(self) -> JailReport | None:
        """What the last worker to lock itself achieved; None before the first."""
        return self._births.report

    @property
    def worker_count(self) -> int:
        return len(self._workers)

    @property
    def spare_count(self) -> int:
        return len(self._spares)

    def worker_pids(self, key: str) -> list[int]:
        lent = [self._workers[held] for held, version in self._lent.items() if version.key == key]
        # 0 until the zygote has told it; to signal that would mean our own process group.
        return [worker.pid for worker in lent if worker.pid]

    # Lending

    def want(self, version: Version, *, takes_idle: bool) -> bool:
        if version.is_shared and not self._has_room_for_shared:
            return self._wait_for_turn(version)
        is_full = len(self._lent) + len(self._wanted) >= self._settings.max_workers
        if is_full and not (takes_idle and self._make_room(version)):
            return False
        self._wanted.append(version)
        self._refill()
        return True

    def forget(self, version: Version) -> int:
        forgotten = self._wanted.count(version) + self._turns.count(version)
        if forgotten:
            self._wanted = deque(wanting for wanting in self._wanted if wanting is not version)
            self._turns = deque(waiting for waiting in self._turns if waiting is not version)
            self._advance_turns()
            self._refill()
        return forgotten

    # Shared workers: as many as one version may have, for all versions of that class together. Each
    # serves one version at a time, so that what it holds and what ends it is that version's alone.

    @property
    def is_awaited(self) -> bool:
        return bool(self._turns)

    def pass_on(self, worker: Worker) -> None:
        previous, following = self._lent.pop(worker.id), self._turns.popleft()
        is_full = len(worker.programs) >= self._settings.shared_programs
        if following.key in worker.programs or not is_full:
            self._lend(worker, following)
        else:
            worker.leave()
            self._wanted.append(following)
            self._refill()
        previous.give_up(worker)

    @property
    def _has_room_for_shared(self) -> bool:
        taken = [version.is_shared for version in (*self._lent.values(), *self._wanted)]
        return sum(taken) < self._settings.workers_per_version

    def _wait_for_turn(self, version: Version) -> bool:
        if version.staff.workers or version.staff.coming:
            return False
        self._turns.append(version)
        idle = [worker for worker in self._shared_workers() if not worker.held]
        if idle:
            self.pass_on(min(idle, key=lambda worker: self._lent[worker.id].last_used_ns))
        return True

    def _shared_workers(self) -> list[Worker]:
        """Return those that serve."""
        lent = [self._workers[held] for held, version in self._lent.items() if version.is_shared]
        return [worker for worker in lent if worker.stage is Stage.SERVING]

    def _advance_turns(self) -> None:
        """Replace shared workers that are gone, for those who have waited longest."""
        while self._turns and self._has_room_for_shared:
            self._wanted.append(self._turns.popleft())

    def _lend(self, worker: Worker, version: Version) -> None:
        self._lent[worker.id] = version
        self._loading.add(worker.id)
        worker.load(version.key, version.order())

    def _make_room(self, asking: Version) -> bool:
        """Release the idle worker that was idle longest. It is gone a moment later."""
        others = [version for version in self._versions() if version is not asking]
        others.sort(key=lambda version: version.last_used_ns)
        return any(version.staff.release_idle() for version in others)

    def _refill(self) -> None:
        while self._wanted and self._spares:
            self._lend(self._spares.pop(), self._wanted.popleft())
        missing = len(self._wanted) + self._settings.spare_workers - len(self._spares)
        self._births.prepare(missing)

    # What the workers say

    def on_ready(self, worker: Worker, report: bytes) -> None:
        if not self._births.accept(worker, report):
            return
        if self._wanted:
            self._lend(worker, self._wanted.popleft())
        else:
            self._spares.append(worker)

    def on_loaded(self, worker: Worker) -> None:
        self._loading.discard(worker.id)
        version = self._lent[worker.id]
        tell = log.debug if version.is_shared else log.info  # each turn of a shared one comes here
        tell("worker_serves", worker=worker.id, pid=worker.pid, key=worker.key)
        version.join(worker)

    def on_refused(self, worker: Worker, refusals: bytes) -> None:
        refused = read_refused(refusals)
        self._loading.discard(worker.id)
        self._lent.pop(worker.id).could_not_load(refused)
        worker.leave()

    def on_answers(self, worker: Worker, calls: int, run_ns: int) -> None:
        self.executions += self._lent[worker.id].answered(worker, calls, run_ns)

    def on_gone(self, worker: Worker, cause: Cause, running: Running) -> None:
        if worker in self._spares:
            self._spares.remove(worker)
        if cause is not Cause.LEFT and self._births.has_zygote:
            self.respawns += 1
            log.info("worker_gone", worker=worker.id, key=worker.key, cause=cause.value)
        self.kills += cause is Cause.DEADLINE
        if self._births.end(worker):
            return
        version = self._lent.pop(worker.id, None)
        if version is not None and worker.id in self._loading:
            self._loading.discard(worker.id)
            self._load_ended(version, cause)  # before others: its turn has only begun
            version = None
        self._advance_turns()
        if version is not None:
            self.executions += version.lost(worker, cause, running)
        self._refill()

    def _load_ended(self, version: Version, cause: Cause) -> None:
        refusal = refusal_of(cause)
        if refusal is not None:
            version.could_not_load(ProgramRefused((refusal,)))
        elif version.may_load_again(cause):
            self._wanted.append(version)
        else:
            reason = "its workers were killed while they loaded it"
            version.could_not_load(LoadFailed(key=version.key, reason=reason))
