"""One worker as its pool sees it: what it holds, what it answers, when it must die.

Runs in: the process that owns the pool. Talks to: the worker, over one socket and one shared page.
Never: decides which calls it gets, or what its end means; `version` and `verdicts` do.
"""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from socket import socket
from typing import Final, Protocol

import structlog

from edged.pool.channel import Channel
from edged.pool.replies import read_result
from edged.pool.values import Call
from edged.pool.verdicts import Cause
from edged.pool.watchdog import Watchdog
from edged.sandbox.frames import (
    IS_LAST,
    Frame,
    FrameMalformed,
    Kind,
    Load,
    frame,
    pack_load,
    pack_run,
)
from edged.sandbox.page import Running, SharedPage

_RESULT: Final = int(Kind.RESULT)
_LOAD_GRACE_S: Final = 0.5  # the soft deadline should end it, with a better message

log = structlog.get_logger(__name__)


class Stage(IntEnum):
    STARTING = 0  # forked, locking itself
    BLANK = 1  # locked, without a program
    LOADING = 2
    SERVING = 3
    LEAVING = 4  # finishes what it holds, gets nothing more
    GONE = 5


class Owner(Protocol):
    """Who is told what a worker does. Called on the event loop."""

    def on_ready(self, worker: "Worker", report: bytes) -> None: ...

    def on_loaded(self, worker: "Worker") -> None: ...

    def on_refused(self, worker: "Worker", refusals: bytes) -> None: ...

    def on_answers(self, worker: "Worker", calls: int, run_ns: int) -> None:
        """run_ns: of all these calls together."""
        ...

    def on_gone(self, worker: "Worker", cause: Cause, running: Running) -> None: ...


class Worker:
    """Invariant: `held` is what was written and not answered, in the order it will be answered."""

    def __init__(
        self, worker_id: int, connection: socket, page: SharedPage, owner: Owner, *, grace_ns: int
    ) -> None:
        """connection: not blocking; this object owns it and the page."""
        self.id = worker_id
        self.pid = 0
        self.stage = Stage.STARTING
        self.key = ""
        self.held: deque[Call] = deque()
        self.answered = 0
        self.programs: dict[str, int] = {}  # loaded, by key; several only in a shared worker
        self._owner = owner
        self._output_bytes_limit = 0  # of the program in use
        self._page = page
        self._pidfd: int | None = None
        self._niceness = 0
        self._load_timer: asyncio.TimerHandle | None = None
        self._channel = Channel(connection, on_frames=self._obey, on_malformed=self._distrust)
        self._watchdog = Watchdog(
            self.held,
            read_page=page.read,
            read_answers=self._channel.drain,
            on_overdue=self._overrun,
            grace_ns=grace_ns,
        )

    def born(self, pid: int, pidfd: int) -> None:
        self.pid, self._pidfd = pid, pidfd

    def load(self, key: str, order: Load) -> None:
        """Have it serve this program. It must be blank, or shared and hold no call."""
        self.key = key
        self.stage = Stage.LOADING
        self._output_bytes_limit = order.result_bytes_limit
        index = self.programs.get(key)
        if index is None:
            index = self.programs[key] = len(self.programs)
            self._channel.send(pack_load(index, order))
        else:
            self._channel.send(frame(Kind.USE, index, b""))
        self._load_timer = asyncio.get_running_loop().call_later(
            order.load_limit_ns / 1e9 + _LOAD_GRACE_S, self._overrun
        )

    def write(self, calls: Sequence[Call], now_ns: int) -> None:
        """Hand calls over, in one write. calls: at least one."""
        frames: list[bytes] = []
        shortest_ns = calls[0].limit_ns
        for index, call in enumerate(calls, self.answered + len(self.held)):
            call.index = index
            frames.append(pack_run(index, call.limit_ns, call.deadline_ns, call.input_json))
            shortest_ns = min(shortest_ns, call.limit_ns)
        self.held.extend(calls)
        self._channel.send(b"".join(frames))
        self._watchdog.expect(shortest_ns, now_ns)

    def is_stuck(self, before_ns: int) -> bool:
        """Tell whether it runs a call that it began before that moment.

        Asked of the shared page: an answer may have arrived that this process had no time to read.
        """
        return bool(self.held) and 0 < self._page.read().since_ns < before_ns

    def set_niceness(self, niceness: int) -> None:
        """Have the kernel prefer others to this worker; only root may take that back."""
        if niceness != self._niceness and self.pid:
            self._niceness = niceness
            with contextlib.suppress(OSError):  # another user's process, without CAP_SYS_NICE
                os.setpriority(os.PRIO_PROCESS, self.pid, niceness)

    def leave(self) -> None:
        """Let it finish what it holds and go."""
        self.stage = Stage.LEAVING
        self._channel.finish()

    def kill(self, cause: Cause, *, drain: bool = True) -> None:
        """End it now. drain: what it sent before counts."""
        if self.stage is Stage.GONE:
            return
        running = self._page.read()
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if drain:
            self._channel.drain()
        self._end(cause, running)

    def died(self, cause: Cause) -> None:
        """Take note that the process is dead; what it sent before counts."""
        self._channel.drain()
        if self.stage is not Stage.GONE:
            self._end(cause, self._page.read())

    def _overrun(self) -> None:
        log.warning("worker_killed", worker=self.id, reason="deadline", key=self.key)
        self.kill(Cause.DEADLINE)

    def _distrust(self) -> None:
        # Only a program that broke out of its language sends what we do not understand.
        log.warning("worker_killed", worker=self.id, reason="frames_malformed", key=self.key)
        self.kill(Cause.VIOLATION, drain=False)

    def _end(self, cause: Cause, running: Running) -> None:
        if self.stage is Stage.GONE:
            return
        self.stage = Stage.GONE
        self._channel.close()
        self._watchdog.stop()
        self._stop_load_timer()
        self._page.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        self._owner.on_gone(self, cause, running)

    def _stop_load_timer(self) -> None:
        if self._load_timer is not None:
            self._load_timer.cancel()
            self._load_timer = None

    def _obey(self, frames: Sequence[Frame]) -> None:
        """Raises FrameMalformed."""
        answered_before = self.answered
        run_ns = 0
        is_last = False
        try:
            for kind, index, body in frames:
                if kind == _RESULT:
                    took_ns, is_last = self._answer(index, body)
                    run_ns += took_ns
                else:
                    self._advance(kind, body)
        finally:  # those in front of a malformed one were answered
            if is_last:
                self.stage = Stage.LEAVING
            if self.answered > answered_before:
                self._owner.on_answers(self, self.answered - answered_before, run_ns)
        if is_last:
            # What is left was not begun. The process exits by itself.
            self._end(Cause.LEFT, Running(0, 0))

    def _advance(self, kind: int, body: bytes) -> None:
        match kind, self.stage:
            case Kind.READY, Stage.STARTING:
                self.stage = Stage.BLANK
                self._owner.on_ready(self, body)
            case Kind.LOADED, Stage.LOADING:
                self.stage = Stage.SERVING
                self._stop_load_timer()
                self._owner.on_loaded(self)
            case Kind.REFUSED, Stage.LOADING:
                self._owner.on_refused(self, body)
            case _:
                raise FrameMalformed

    def _answer(self, index: int, body: bytes) -> tuple[int, bool]:
        """Give one call its result; return its run time and whether the worker leaves after it."""
        result, flags, run_ns = read_result(body, self._output_bytes_limit)
        held = self.held
        if not held or held[0].index != index:
            raise FrameMalformed
        call = held.popleft()
        self.answered += 1
        call.answer(result)
        return run_ns, flags & IS_LAST > 0
