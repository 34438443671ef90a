"""All workers of a pool: which are blank, which are wanted, which serve whom.

Runs in: the process that owns the pool. Talks to: the zygote and the workers. Never: queues a call.

A blank worker is locked and has no program. One is kept spare, so that a version which lost its
worker waits only for its program to load.
"""

import asyncio
import json
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from edged.pool.errors import IsolationTooWeak, LoadFailed, PoolStopped
from edged.pool.report import JailReport
from edged.pool.settings import PoolSettings
from edged.pool.verdicts import Cause, cause_of, refusal_of
from edged.pool.version import Version
from edged.pool.worker import Stage, Worker
from edged.pool.zygote import Image, Zygote
from edged.sandbox.control import Setup
from edged.sandbox.frames import FrameMalformed
from edged.sandbox.page import Running, SharedPage
from edged.sandbox.refusals import ProgramRefused, Refusal

_TICK_S: Final = 1.0
_START_AGAIN_S: Final = 0.2  # after a worker that died before it was ready
_POOL_ONLY: Final = frozenset({"clean_zygote", "namespaces"})  # a worker cannot probe them

log = structlog.get_logger(__name__)


class Crew:
    """Invariant: a worker is starting, spare, or lent to one version; lent ones may be loading."""

    def __init__(
        self,
        settings: PoolSettings,
        versions: Callable[[], Iterable[Version]],
        on_first_ready: Callable[[], None],
        image: Image,
    ) -> None:
        """versions: those that may be asked to give a worker back."""
        self.report: JailReport | None = None
        self.executions = 0
        self.kills = 0
        self.respawns = 0
        self._settings = settings
        self._versions = versions
        self._on_first_ready = on_first_ready
        self._image = image
        self._loop = asyncio.get_running_loop()
        self._zygote: Zygote | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._is_ready = False  # one worker has locked itself well enough
        self._hello = b""
        self._next_id = 0
        self._workers: dict[int, Worker] = {}
        self._starting: dict[int, float] = {}  # until when, on the loop's clock
        self._spares: list[Worker] = []
        self._loading: set[int] = set()
        self._lent: dict[int, Version] = {}
        self._wanted: deque[Version] = deque()  # at most max_workers
        self._turns: deque[Version] = deque()  # they wait for a shared worker that others use

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

    # Life

    async def live(self) -> str:
        """Start a zygote and stay until it dies; return its last words.

        Raises IsolationTooWeak or PoolStopped. Every worker dies with it.
        """
        settings = self._settings
        setup = Setup(
            parent_pid=os.getpid(),
            memory_bytes=settings.memory_limit_mb << 20,
            require=tuple(name for name in settings.require if name not in _POOL_ONLY),
            without=self._image.without,
            has_monty=settings.has_monty,
        )
        self._zygote = Zygote(self._image, setup, self)
        self._hello = b""
        self._ended = self._loop.create_future()
        try:
            self._zygote.start()
            await self._watch()
        finally:
            zygote, self._zygote = self._zygote, None
            last_words = zygote.stop()
            self._abandon()
        return last_words

    async def _watch(self) -> None:
        started_s = self._loop.time()
        while not self._ended.done():
            await asyncio.wait([self._ended], timeout=_TICK_S)
            self._tend()
            self._end_late_starts()
            if (
                not self._is_ready
                and self._loop.time() - started_s > self._settings.start_timeout_s
            ):
                raise PoolStopped(reason="no worker could be started in time")
        self._ended.result()

    def _tend(self) -> None:
        """Have every version ask for workers that it misses, or give back what it does not need."""
        now_ns = time.monotonic_ns()
        for version in self._versions():
            version.tend(now_ns)

    def _end_late_starts(self) -> None:
        """Give workers up that do not lock themselves: the order for one may have been lost."""
        now_s = self._loop.time()
        for worker_id in [late for late, until_s in self._starting.items() if until_s < now_s]:
            log.warning("worker_killed", worker=worker_id, reason="start_timeout")
            self._workers[worker_id].kill(Cause.LOST)

    def _abandon(self) -> None:
        """Settle what every worker held: all of them died with their zygote."""
        for worker in list(self._workers.values()):
            worker.kill(Cause.LOST)

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
        if version.workers or version.coming:
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
        return any(version.release_idle() for version in others)

    def _refill(self) -> None:
        while self._wanted and self._spares:
            self._lend(self._spares.pop(), self._wanted.popleft())
        if self._zygote is None or not self._hello:
            return
        missing = len(self._wanted) + self._settings.spare_workers
        missing = max(missing, 0 if self._is_ready else 1)
        try:
            for _ in range(missing - len(self._spares) - len(self._starting)):
                self._spawn(self._zygote)
        except OSError as error:  # no file descriptor or no memory left
            log.error("worker_not_started", error=str(error))
            self._loop.call_later(_START_AGAIN_S, self._refill)

    def _spawn(self, zygote: Zygote) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        page, page_fd = SharedPage.create()
        self._next_id += 1
        grace_ns = int(self._settings.kill_grace_ms * 1e6)
        self._workers[self._next_id] = Worker(self._next_id, ours, page, self, grace_ns=grace_ns)
        self._starting[self._next_id] = self._loop.time() + self._settings.start_timeout_s
        with theirs:
            zygote.spawn(self._next_id, theirs, page_fd)
        os.close(page_fd)

    # What the zygote says

    def on_hello(self, text: bytes) -> None:
        self._hello = text
        self._refill()

    def on_spawned(self, worker_id: int, pid: int, pidfd: int) -> None:
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.born(pid, pidfd)
            return
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)

    def on_exited(self, worker_id: int, status: int) -> None:
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.died(cause_of(status))

    def on_zygote_lost(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # What the workers say

    def on_ready(self, worker: Worker, report: bytes) -> None:
        self._starting.pop(worker.id, None)
        self.report = JailReport.of(self._hello, report)
        missing = self.report.missing(self._settings.require)
        if missing:
            if not self._ended.done():
                self._ended.set_exception(IsolationTooWeak(missing=", ".join(missing)))
            return
        if not self._is_ready:
            self._is_ready = True
            log.info("isolation", python=self.report.python, **self.report.by_barrier())
            self._on_first_ready()
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
        refused = _refused(refusals)
        self._loading.discard(worker.id)
        self._lent.pop(worker.id).could_not_load(refused)
        worker.leave()

    def on_answers(self, worker: Worker, calls: int, run_ns: int) -> None:
        self.executions += self._lent[worker.id].answered(worker, calls, run_ns)

    def on_gone(self, worker: Worker, cause: Cause, running: Running) -> None:
        del self._workers[worker.id]
        if worker in self._spares:
            self._spares.remove(worker)
        if cause is not Cause.LEFT and self._zygote is not None:
            self.respawns += 1
            log.info("worker_gone", worker=worker.id, key=worker.key, cause=cause.value)
        self.kills += cause is Cause.DEADLINE
        if worker.id in self._starting:
            del self._starting[worker.id]
            self._loop.call_later(_START_AGAIN_S, self._refill)
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


def _refused(text: bytes) -> ProgramRefused:
    """Raise FrameMalformed when this is not what a worker says."""
    try:
        return ProgramRefused(tuple(_refusal(fields) for fields in json.loads(text)))
    except (ValueError, LookupError, TypeError) as error:
        raise FrameMalformed from error


def _refusal(fields: dict[str, Any]) -> Refusal:
    return Refusal(
        line=int(fields["line"]),
        column=int(fields["column"]),
        what=str(fields["what"]),
        instead=str(fields["instead"]),
    )
