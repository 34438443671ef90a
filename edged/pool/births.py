"""The births of workers: a zygote that forks them, and those that have not locked themselves yet.

Runs in: the process that owns the pool. Talks to: the zygote and the workers. Never: gives a worker
a program.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

import structlog

from edged.pool.errors import IsolationTooWeak, PoolStopped
from edged.pool.report import JailReport
from edged.pool.settings import PoolSettings
from edged.pool.verdicts import Cause, cause_of
from edged.pool.worker import Owner, Worker
from edged.pool.zygote import Image, Zygote
from edged.sandbox.control import Setup
from edged.sandbox.page import SharedPage

_TICK_S: Final = 1.0
_START_AGAIN_S: Final = 0.2  # after a worker that died before it was ready
_POOL_ONLY: Final = frozenset({"clean_zygote", "namespaces"})  # a worker cannot probe them

log = structlog.get_logger(__name__)


class Births:
    """All workers, from their births on. Invariant: none outlives its zygote."""

    def __init__(
        self,
        settings: PoolSettings,
        image: Image,
        owner: Owner,
        on_able: Callable[[], None],
        on_first_ready: Callable[[], None],
    ) -> None:
        """owner: of the workers. on_able: asks for what is missing; it could not be had before."""
        self.report: JailReport | None = None
        self.workers: dict[int, Worker] = {}
        self._settings = settings
        self._image = image
        self._owner = owner
        self._on_able = on_able
        self._on_first_ready = on_first_ready
        self._loop = asyncio.get_running_loop()
        self._zygote: Zygote | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._is_ready = False  # one worker has locked itself well enough
        self._hello = b""
        self._next_id = 0
        self._starting: dict[int, float] = {}  # until when, on the loop's clock

    @property
    def has_zygote(self) -> bool:
        return self._zygote is not None

    async def live(self, tend: Callable[[], None]) -> str:
        """Start a zygote and stay until it dies; return its last words.

        tend: called about once a second. Raises IsolationTooWeak or PoolStopped. Every worker dies
        with its zygote.
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
            await self._watch(tend)
        finally:
            zygote, self._zygote = self._zygote, None
            last_words = zygote.stop()
            self._abandon()
        return last_words

    async def _watch(self, tend: Callable[[], None]) -> None:
        started_s = self._loop.time()
        while not self._ended.done():
            await asyncio.wait([self._ended], timeout=_TICK_S)
            tend()
            self._end_late_starts()
            if (
                not self._is_ready
                and self._loop.time() - started_s > self._settings.start_timeout_s
            ):
                raise PoolStopped(reason="no worker could be started in time")
        self._ended.result()

    def _end_late_starts(self) -> None:
        """Give workers up that do not lock themselves: the order for one may have been lost."""
        now_s = self._loop.time()
        for worker_id in [late for late, until_s in self._starting.items() if until_s < now_s]:
            log.warning("worker_killed", worker=worker_id, reason="start_timeout")
            self.workers[worker_id].kill(Cause.LOST)

    def _abandon(self) -> None:
        """Settle what every worker held: all of them died with their zygote."""
        for worker in list(self.workers.values()):
            worker.kill(Cause.LOST)

    def prepare(self, count: int) -> None:
        """Have that many workers start, and one at least until the first is ready."""
        if self._zygote is None or not self._hello:
            return
        count = max(count, 0 if self._is_ready else 1)
        try:
            for _ in range(count - len(self._starting)):
                self._spawn(self._zygote)
        except OSError as error:  # no file descriptor or no memory left
            log.error("worker_not_started", error=str(error))
            self._loop.call_later(_START_AGAIN_S, self._on_able)

    def _spawn(self, zygote: Zygote) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        page, page_fd = SharedPage.create()
        self._next_id += 1
        grace_ns = int(self._settings.kill_grace_ms * 1e6)
        self.workers[self._next_id] = Worker(
            self._next_id, ours, page, self._owner, grace_ns=grace_ns
        )
        self._starting[self._next_id] = self._loop.time() + self._settings.start_timeout_s
        with theirs:
            zygote.spawn(self._next_id, theirs, page_fd)
        os.close(page_fd)

    # What becomes of one

    def accept(self, worker: Worker, report: bytes) -> bool:
        """Tell whether a worker has locked itself well enough; if it has not, none will."""
        self._starting.pop(worker.id, None)
        self.report = JailReport.of(self._hello, report)
        missing = self.report.missing(self._settings.require)
        if missing:
            if not self._ended.done():
                self._ended.set_exception(IsolationTooWeak(missing=", ".join(missing)))
            return False
        if not self._is_ready:
            self._is_ready = True
            log.info("isolation", python=self.report.python, **self.report.by_barrier())
            self._on_first_ready()
        return True

    def end(self, worker: Worker) -> bool:
        """Take note that a worker is gone; tell whether it was never ready."""
        del self.workers[worker.id]
        was_starting = self._starting.pop(worker.id, None) is not None
        if was_starting:
            self._loop.call_later(_START_AGAIN_S, self._on_able)
        return was_starting

    # What the zygote says

    def on_hello(self, text: bytes) -> None:
        self._hello = text
        self._on_able()

    def on_spawned(self, worker_id: int, pid: int, pidfd: int) -> None:
        worker = self.workers.get(worker_id)
        if worker is not None:
            worker.born(pid, pidfd)
            return
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)

    def on_exited(self, worker_id: int, status: int) -> None:
        worker = self.workers.get(worker_id)
        if worker is not None:
            worker.died(cause_of(status))

    def on_zygote_lost(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
