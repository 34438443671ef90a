"""Keep the workers of each program version alive and hand them calls.

Runs in: the gateway, the agent, the control plane's jobs. Talks to: the zygote and the workers.
Never: forks, or interprets a result.

    async with Pool(PoolSettings()) as pool:
        await pool.load(digest, ProgramSource(source=text))
        result = await pool.call(digest, b'{"text": "hello"}')

`submit` is the hot path: no task, no await, one callback. Program text, inputs and outputs pass
through here as bytes only. An output comes from a process that may have been taken over: whoever
uses it parses and checks it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final, Self

import structlog

from edged.pool.crew import Crew
from edged.pool.errors import (
    BackendMissing,
    IsolationTooWeak,
    LoadFailed,
    PoolError,
    PoolFull,
    PoolStopped,
    Quarantined,
    UnknownProgram,
)
from edged.pool.replies import vetted
from edged.pool.report import JailReport
from edged.pool.settings import PoolSettings
from edged.pool.values import Call, PoolStats, ProgramSource, Result, VersionStats, ns_of
from edged.pool.version import Version
from edged.pool.zygote import OURS, Image
from edged.sandbox.backend import Backend
from edged.sandbox.frames import Outcome
from edged.sandbox.refusals import ProgramRefused

__all__ = [
    "IsolationTooWeak",
    "LoadFailed",
    "Outcome",
    "Pool",
    "PoolError",
    "PoolFull",
    "PoolStats",
    "PoolStopped",
    "ProgramSource",
    "Quarantined",
    "Result",
    "UnknownProgram",
    "VersionStats",
]

_QUICK_DEATH_S: Final = 1.0
_MOST_BACKOFF_S: Final = 5.0

log = structlog.get_logger(__name__)


class Pool:
    """Program versions by key, and the jailed workers that serve them."""

    def __init__(self, settings: PoolSettings, image: Image = OURS) -> None:
        self._settings = settings
        self._image = image
        self._time_limit_ns = ns_of(settings.time_limit_ms / 1e3)
        self._versions: dict[str, Version] = {}
        self._quarantined: dict[str, str] = {}  # key → why, for as long as this pool lives
        self.on_quarantine: Callable[[str, str], None] = _ignore
        """Told the key and the reason, after the pool has stopped running that version."""
        self._retiring: list[Version] = []  # those that still had calls at the last look
        self._crew: Crew | None = None
        self._group: asyncio.TaskGroup | None = None
        self._running: asyncio.Task[None] | None = None
        self._started = asyncio.Event()  # ready, or failed
        self._failure: Exception | None = None
        self._zygote_restarts = 0

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._running = self._group.create_task(self.run(), name="pool")
        try:
            await self.wait_ready()
        except BaseException:
            with contextlib.suppress(BaseExceptionGroup):  # holds the same error
                await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_body_error: object) -> None:
        if self._group is not None and self._running is not None:
            self._running.cancel()
            # Not told of the body's error, which it would wrap.
            await self._group.__aexit__(None, None, None)

    async def run(self) -> None:
        """Keep a zygote and the workers alive until cancelled; then kill them.

        Raises IsolationTooWeak when this machine lacks a barrier that the settings require.
        """
        self._crew = Crew(self._settings, self._versions.values, self._started.set, self._image)
        try:
            await self._keep_zygote(self._crew)
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._stop()

    async def wait_ready(self) -> None:
        """Wait until a worker has locked itself. Raises what ended the pool, if that came first."""
        await self._started.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def jail_report(self) -> JailReport | None:
        """What the last worker to lock itself achieved; None before the first."""
        return None if self._crew is None else self._crew.report

    async def load(self, key: str, program: ProgramSource) -> None:
        """Return when a worker serves this program. Loading again what is loaded does nothing.

        key: names the program's text, whole: an artifact's digest. Raises ProgramRefused with every
        refusal, Quarantined, BackendMissing, LoadFailed or IsolationTooWeak.
        """
        backend = program.placement.backend
        if backend is Backend.MONTY and not self._settings.has_monty:
            raise BackendMissing(backend=backend)
        await self.wait_ready()
        if key in self._quarantined:
            raise Quarantined(reason=self._quarantined[key])
        version = self._versions.get(key) or self._begin(key, program)
        most_s = self._settings.load_time_limit_ms / 1e3 + self._settings.start_timeout_s
        try:
            async with asyncio.timeout(most_s):
                await asyncio.shield(version.loaded)
        except TimeoutError:
            late = LoadFailed(key=key, reason="no worker could be had in time")
            self._drop(version, late)
            raise late from None
        except (ProgramRefused, PoolError) as error:
            self._drop(version, error)
            raise

    def unload(self, key: str) -> None:
        """Retire its workers after they have finished what waits; unknown keys are ignored."""
        version = self._versions.pop(key, None)
        if version is not None:
            version.retire()
            self._retiring = [old for old in (*self._retiring, version) if old.is_busy]

    def submit(
        self,
        key: str,
        input_json: bytes,
        done: Callable[[Result], None],
        *,
        time_limit_ms: float | None = None,
        deadline_s: float | None = None,
    ) -> Call:
        """Queue one call; `done` is called exactly once, on the loop, never from inside here.

        time_limit_ms: lowers the program's. deadline_s: the caller's, on the clock of
        `loop.time()`; when it passes in the queue the result is a TIMEOUT with cut_by_caller and
        run_ms 0. A call that is abandoned while it waits ends like that too.
        Raises PoolFull, Quarantined or UnknownProgram.
        """
        version = self._versions.get(key)
        if version is None:
            raise self._missing(key)
        limit_ns = self._time_limit_ns
        if time_limit_ms is not None:
            limit_ns = max(1, min(limit_ns, ns_of(time_limit_ms / 1e3)))
        deadline_ns = 0 if deadline_s is None else max(1, ns_of(deadline_s))
        call = Call(input_json, done, limit_ns, deadline_ns, time.monotonic_ns())
        version.enqueue(call)
        return call

    async def call(
        self, key: str, input_json: bytes, *, time_limit_ms: float | None = None
    ) -> Result:
        """Submit one call and wait for its result, whose output is JSON."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(answer: Result) -> None:
            if not result.done():
                result.set_result(answer)

        self.submit(key, input_json, done, time_limit_ms=time_limit_ms)
        return vetted(await result)

    @property
    def time_limit_ms(self) -> float:
        """Of every program; a caller may ask for less."""
        return self._settings.time_limit_ms

    def stats(self) -> PoolStats:
        by_key = {key: version.stats() for key, version in self._versions.items()}
        crew = self._crew
        return PoolStats(
            workers=crew.worker_count if crew else 0,
            spares=crew.spare_count if crew else 0,
            queued=sum(version.queued for version in by_key.values()),
            running=sum(version.running for version in by_key.values()),
            executions=crew.executions if crew else 0,
            kills=crew.kills if crew else 0,
            respawns=crew.respawns if crew else 0,
            zygote_restarts=self._zygote_restarts,
            by_key=by_key,
        )

    def worker_pids(self, key: str) -> list[int]:
        """Return the processes that serve this program, for `doctor` and chaos tests."""
        return [] if self._crew is None else self._crew.worker_pids(key)

    def _begin(self, key: str, program: ProgramSource) -> Version:
        if self._crew is None:
            raise PoolStopped(reason="it was not started")
        version = Version(key, program, self._settings, self._crew, self._put_away)
        if not version.start():
            raise LoadFailed(key=key, reason="every worker is busy with other programs")
        self._versions[key] = version
        return version

    def _drop(self, version: Version, reason: Exception) -> None:
        if self._versions.get(version.key) is version:
            del self._versions[version.key]
        version.refuse_loading(reason)
        version.fail_all("load_failed", str(reason))
        version.retire()

    def _missing(self, key: str) -> PoolError:
        reason = self._quarantined.get(key)
        return UnknownProgram(key=key) if reason is None else Quarantined(reason=reason)

    def _put_away(self, version: Version, reason: str) -> None:
        """Run this version no more. What waits for it is answered: nobody ran it."""
        if self._versions.get(version.key) is not version:
            return
        log.error("version_quarantined", key=version.key, reason=reason)
        self._quarantined[version.key] = reason
        del self._versions[version.key]
        version.retire()
        self._retiring = [old for old in (*self._retiring, version) if old.is_busy]
        self.on_quarantine(version.key, reason)

    async def _keep_zygote(self, crew: Crew) -> None:
        backoff_s = 0.0
        while True:
            started_s = asyncio.get_running_loop().time()
            last_words = await crew.live()
            lived_s = asyncio.get_running_loop().time() - started_s
            log.error("zygote_lost", lived_s=round(lived_s, 3), stderr=last_words)
            if not self._started.is_set():
                raise PoolStopped(reason=f"the zygote cannot start: {last_words}")
            self._zygote_restarts += 1
            # At once after a long life; slower and slower when it cannot stay alive.
            backoff_s = (
                0.0 if lived_s > _QUICK_DEATH_S else min(_MOST_BACKOFF_S, 0.1 + 2 * backoff_s)
            )
            await asyncio.sleep(backoff_s)

    def _stop(self) -> None:
        """Answer everything; whoever waits for the pool learns why it ended."""
        reason = self._failure or PoolStopped(reason="it was stopped")
        self._failure = reason
        self._started.set()
        for version in (*self._versions.values(), *self._retiring):
            version.refuse_loading(reason)
            version.fail_all("pool_stopped", str(reason))
        self._versions.clear()


def _ignore(_key: str, _reason: str) -> None:
    """Stand in for nobody who wants to know."""
