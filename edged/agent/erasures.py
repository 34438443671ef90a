"""See erasures through: once more on this disk, out of the agent's memory, and at home.

Runs in: the agent. Talks to: state/erasures, the open batch, the session. Never: forgets one that
home has not acknowledged, or keeps what a subject is known by any longer than needed.

`edged privacy erase` leaves a file here and erases what is on the disk. An execution that was in
this process's memory then may reach a log later, so the agent looks again when the command has
ended, and a last time a minute later. A command that died on the way has ended too: the file has
the ids of what it may have erased already.
"""

import asyncio
import fcntl
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson
import structlog
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batches import BatchFolder
from edged.agent.erasing import Eraser
from edged.agent.privacy.matching import Match
from edged.datasets.layout import Layout
from edged.errors import LogUnreadable
from edged.files import write_whole

log = structlog.get_logger()
LOOK_S = 1.0
LAST_PASS_S = 60.0  # after the file was found; what was in memory is written by then
PART_IDS = 5_000  # 180 kB a message
ForgetOutputs = Callable[[str, Callable[[str], bool]], None]
Put = Callable[[wire.ConnectRequest], Awaitable[None]]


@dataclass(kw_only=True)
class Request:
    """One erasure, as its file has it. What tells of the subject goes when nothing needs it.

    outputs: of its executions, as the statistics name them.
    """

    erasure_id: str
    task: str
    matches: list[str]
    execution_ids: list[str]
    requested_at: float  # seconds since the epoch
    outputs: list[str] = field(default_factory=list)
    erased: dict[str, int] = field(default_factory=dict)
    passes: int = 0  # of the agent
    parts_acknowledged: list[int] = field(default_factory=list)
    erased_at_home: int = 0
    done_at: float | None = None

    @property
    def parts(self) -> int:
        return max(1, -(-len(self.execution_ids) // PART_IDS))

    @property
    def is_acknowledged(self) -> bool:
        return len(set(self.parts_acknowledged)) >= self.parts

    def learn(self, eraser: Eraser) -> None:
        """Take in what it knows; where that is more executions, home is asked anew."""
        self.outputs = sorted(eraser.outputs)
        if len(eraser.ids) > len(self.execution_ids):
            self.execution_ids, self.parts_acknowledged = sorted(eraser.ids), []

    def eraser(self, layout: Layout) -> Eraser:
        matches = [Match.parse(each) for each in self.matches]
        ids, outputs = frozenset(self.execution_ids), frozenset(self.outputs)
        return Eraser(layout, self.task, matches, ids, outputs)


class OpenRecords(Protocol):
    """Whoever holds records in memory, and lets none of these out from now on."""

    def forget_executions(self, task: str, execution_ids: frozenset[str]) -> None: ...


class ErasureFolder:
    """state/erasures: one file a request, readable by its owner only."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.state / "erasures"

    def add(self, request: Request) -> Path:
        """Note a request, or what became of it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path_of(request)
        write_whole(path, orjson.dumps(asdict(request)), mode=0o600)
        return path

    def path_of(self, request: Request) -> Path:
        return self._folder / f"{request.erasure_id}.json"

    def open_requests(self) -> Iterator[Request]:
        """Yield those that are not done, oldest first."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                request = Request(**orjson.loads(path.read_bytes()))
            except (ValueError, TypeError) as error:
                log.error("erasure_unreadable", path=str(path), reason=type(error).__name__)
                continue
            if request.done_at is None:
                yield request

    def left_requests(self) -> list[Request]:
        """Return the open ones whose commands have ended; none while a command is at work."""
        with (
            suppress(FileNotFoundError, BlockingIOError),
            self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB),
        ):
            return list(self.open_requests())
        return []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep the agent from new requests meanwhile: both would write what became of them."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Hold the folder; the kernel lets it go for a process that dies."""
        with (self._folder / ".lock").open("ab") as file:
            fcntl.flock(file, how)
            yield


class Erasures:
    """Works requests off. has_home: without one there is nobody to ask.

    forget_outputs: takes the names that some outputs have out of a task's statistics, in a thread.
    """

    def __init__(
        self,
        layout: Layout,
        batches: BatchFolder,
        holders: Sequence[OpenRecords],
        *,
        has_home: bool,
        forget_outputs: ForgetOutputs = lambda _task, _is_gone: None,
    ) -> None:
        self._layout = layout
        self._folder = ErasureFolder(layout)
        self._batches = batches
        self._holders = holders
        self._has_home = has_home
        self._forget_outputs = forget_outputs
        self._found_s: dict[str, float] = {}  # when this process first saw a request, monotonic
        self._news = asyncio.Event()

    async def run(self) -> None:
        while True:
            for request in self._folder.left_requests():
                await self._attempt(request)
            await asyncio.sleep(LOOK_S)

    async def ask_home(self, put: Put) -> None:
        """Send every request that home has not acknowledged, and each new one, until cancelled."""
        while True:
            self._news.clear()
            for request in self._folder.open_requests():
                if request.passes:  # nothing of it leaves this process any more
                    for part in self._unacknowledged(request):
                        await put(wire.ConnectRequest(erasure=part))
            await self._news.wait()

    def acknowledge(self, ack: wire.ErasureAck) -> None:
        for request in self._folder.open_requests():
            if request.erasure_id == ack.erasure_id:
                if ack.part not in request.parts_acknowledged:
                    request.parts_acknowledged.append(ack.part)
                    request.erased_at_home += ack.erased
                self._close_if_done(request)
                self._folder.add(request)

    async def _attempt(self, request: Request) -> None:
        """One request's trouble is not the others'; it is tried again in a minute."""
        try:
            await self._see_through(request)
        except (LogUnreadable, ValueError) as error:
            self._found_s[request.erasure_id] = time.monotonic()
            # A match that is not understood is quoted by its error, and is not to be logged.
            reason = str(error) if isinstance(error, LogUnreadable) else type(error).__name__
            log.error("erasure_failed", erasure=request.erasure_id, reason=reason)

    async def _see_through(self, request: Request) -> None:
        first_s = self._found_s.get(request.erasure_id)
        now_s = time.monotonic()
        if first_s is None:
            self._found_s[request.erasure_id] = now_s
            await self._pass(request)
            self._news.set()
        elif request.passes < 2 and now_s - first_s >= LAST_PASS_S:
            await self._pass(request)
            if self._has_grown(request):
                self._news.set()

    async def _pass(self, request: Request) -> None:
        """Erase here what is left. Its ids may grow: they are noted before the lines go."""
        eraser = request.eraser(self._layout)
        await asyncio.to_thread(eraser.find)
        request.learn(eraser)
        self._folder.add(request)
        erased = await asyncio.to_thread(eraser.erase)
        for holder in self._holders:
            holder.forget_executions(request.task, frozenset(eraser.ids))
        eraser.erase_batches(self._batches)
        await asyncio.to_thread(self._forget_outputs, request.task, eraser.is_told_by)
        request.learn(eraser)
        request.erased = {kind: request.erased.get(kind, 0) + erased[kind] for kind in erased}
        request.passes += 1
        self._close_if_done(request)
        self._folder.add(request)
        if eraser.damaged:
            damaged = sorted(eraser.damaged)
            log.warning("erasure_incomplete", erasure=request.erasure_id, damaged=damaged)
        log.info("erased_here", erasure=request.erasure_id, **_counts(erased))

    def _has_grown(self, request: Request) -> bool:
        return not request.parts_acknowledged and request.done_at is None

    def _close_if_done(self, request: Request) -> None:
        if request.passes >= 2 and (request.is_acknowledged or not self._has_home):
            request.done_at = time.time()
            request.matches, request.outputs, request.execution_ids = [], [], []
            log.info("erasure_done", erasure=request.erasure_id, at_home=request.erased_at_home)

    def _unacknowledged(self, request: Request) -> Iterator[wire.ErasureRequest]:
        for part in range(request.parts):
            if part not in request.parts_acknowledged:
                yield wire.ErasureRequest(
                    erasure_id=request.erasure_id,
                    part=part,
                    is_last=part == request.parts - 1,
                    task=request.task,
                    execution_ids=request.execution_ids[part * PART_IDS : (part + 1) * PART_IDS],
                )


def _counts(erased: dict[str, int]) -> dict[str, Any]:
    return {kind.replace(" ", "_"): count for kind, count in erased.items()}
