"""One jailed process: load a program, then answer its calls until told to stop.

Runs in: the worker. Talks to: its pool, over one socket and one shared page. Never: opens a file,
reads a second program unless it is a shared one, or outlives a call that ran out of time or memory.
"""

import gc
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final, NoReturn

from edged.sandbox import jail, layers
from edged.sandbox.answers import Answers
from edged.sandbox.backend import Backend
from edged.sandbox.call import Answer, CallRunner, Runnable
from edged.sandbox.deadline import DeadlinePassed, SoftDeadline
from edged.sandbox.exits import EXIT_BROKEN, EXIT_DONE, EXIT_FULL, EXIT_MEMORY, EXIT_TOO_WEAK
from edged.sandbox.frames import RECEIVE_BYTES, Inbox, Kind, Load, frame, unpack_load
from edged.sandbox.loader import load
from edged.sandbox.page import SharedPage
from edged.sandbox.plain import load_plain
from edged.sandbox.policy import SourceLimits
from edged.sandbox.refusals import ProgramRefused, Refusal

_RUN: Final = int(Kind.RUN)
HEADROOM_BYTES: Final = 16 * 1024 * 1024
"""Kept from programs, so that the harness can report that memory ran out."""


def serve(
    *,
    worker_id: int,
    channel: socket.socket,
    page_fd: int,
    memory_bytes: int,
    require: Sequence[str],
    without: frozenset[str],
) -> NoReturn:
    """Lock this process and answer calls. Leaves by `os._exit`: nothing of the zygote may run.

    memory_bytes: of address space for loading and again for a call. require: names of barriers.
    without: layers that a trial leaves out.
    """
    status = EXIT_BROKEN
    try:
        worker = Worker(channel, SharedPage.open(page_fd), without)
        status = worker.run(worker_id=worker_id, memory_bytes=memory_bytes, require=require)
    except MemoryError:
        status = EXIT_MEMORY
    finally:
        os._exit(status)


class Worker:
    """The life of one process, from fork to exit."""

    def __init__(self, channel: socket.socket, page: SharedPage, without: frozenset[str]) -> None:
        self._channel = channel
        self._without = without
        self._page = page
        self._deadline = SoftDeadline()
        self._answers = Answers(channel, self._deadline)
        self._statm_fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._inbox = Inbox()
        self._programs: dict[int, CallRunner] = {}  # several only in a shared worker
        self._run: Callable[[int, bytes], Answer]  # of the program in use

    def run(self, *, worker_id: int, memory_bytes: int, require: Sequence[str]) -> int:
        """Return the exit status."""
        self._deadline.install()
        self._answers.install()
        # What a finaliser raises is the program's affair, and there is no stderr to write it to.
        sys.unraisablehook = _ignore
        used_bytes = jail.used_address_space_bytes(self._statm_fd)
        achieved = jail.lock(
            worker_id=worker_id,
            keep_fds=(self._channel.fileno(), self._statm_fd),
            memory_bytes=used_bytes + 2 * memory_bytes + HEADROOM_BYTES,
            without=self._without,
        )
        self._say(Kind.READY, achieved.as_json())
        if not all(getattr(achieved, barrier, False) for barrier in require):
            return EXIT_TOO_WEAK
        return self._serve_pool()

    def _serve_pool(self) -> int:
        while received := self._channel.recv(RECEIVE_BYTES):
            for kind, index, body in self._inbox.take(received):
                if kind != _RUN:
                    status = self._prepare(kind, index, body)
                    if status is not None:
                        return status
                    continue
                answer, end_ns, is_last = self._run(index, body)
                self._answers.add(answer, end_ns)
                if is_last:
                    self._say_last()
                    return EXIT_DONE
            self._answers.flush()
        return EXIT_DONE

    def _prepare(self, kind: int, index: int, body: bytes) -> int | None:
        """Have a program ready, loading it if it is new; return the exit status, if it must end."""
        if kind == Kind.LOAD:
            order = unpack_load(body)
            if self._programs and not self._has_room(order):
                return EXIT_FULL
            runner = self._load(order)
            if runner is None:
                return EXIT_DONE
            self._programs[index] = runner
        self._run = self._programs[index].run
        self._channel.sendall(frame(Kind.LOADED, 0, b""))
        return None

    def _has_room(self, order: Load) -> bool:
        """Tell whether one more program could have what the first one had."""
        hard_bytes = resource.getrlimit(resource.RLIMIT_AS)[1]
        used_bytes = jail.used_address_space_bytes(self._statm_fd)
        is_limited = hard_bytes != resource.RLIM_INFINITY
        return not is_limited or used_bytes + order.memory_bytes + HEADROOM_BYTES <= hard_bytes

    def _say_last(self) -> None:
        self._limit_memory(resource.getrlimit(resource.RLIMIT_AS)[1], keep_hard=True)
        self._answers.flush()

    def _load(self, order: Load) -> CallRunner | None:
        """Return None when the program is refused."""
        used_bytes = jail.used_address_space_bytes(self._statm_fd)
        self._limit_memory(used_bytes + order.memory_bytes, keep_hard=True)
        try:
            program = self._load_bounded(order)
        except ProgramRefused as refused:
            self._say(Kind.REFUSED, [asdict(refusal) for refusal in refused.refusals])
            return None
        runner = CallRunner(
            program,
            page=self._page,
            deadline=self._deadline,
            result_bytes_limit=order.result_bytes_limit,
            returns_confidence=order.returns_confidence,
        )
        # A model's weights must not be walked by every collection.
        gc.collect()
        gc.freeze()
        used_bytes = jail.used_address_space_bytes(self._statm_fd)
        if not order.is_shared:
            os.close(self._statm_fd)
        self._limit_memory(used_bytes + order.memory_bytes, keep_hard=order.is_shared)
        return runner

    def _load_bounded(self, order: Load) -> Runnable:
        """Raise ProgramRefused whatever goes wrong: a program that cannot be loaded is refused."""
        try:
            try:
                now_ns = time.monotonic_ns()
                self._deadline.arm(now_ns, now_ns + order.load_limit_ns)
                source = order.source.decode(errors="surrogatepass")
                limits = SourceLimits(source_bytes=order.source_bytes_limit)
                if order.backend is Backend.MONTY:
                    return _load_monty(source, limits, order.memory_bytes)
                if layers.LANGUAGE in self._without:
                    return load_plain(source)
                program = load(source, limits)
                if program.leaves_generators:
                    gc.collect()  # runs code of the program: not after the deadline is disarmed
                return program
            finally:
                self._deadline.disarm()
        except DeadlinePassed:
            raise _too_slow() from None
        except ProgramRefused:
            if self._deadline.has_fired:  # monty reports the signal as an error of the program
                raise _too_slow() from None
            raise
        except MemoryError:
            raise _refused(
                "a program that takes too much memory to load", "build less at the top level"
            ) from None

    def _limit_memory(self, soft_bytes: int, *, keep_hard: bool) -> None:
        if layers.RLIMITS in self._without:
            return
        hard_bytes = resource.getrlimit(resource.RLIMIT_AS)[1]
        if not keep_hard:
            hard_bytes = min(hard_bytes, soft_bytes + HEADROOM_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, (min(soft_bytes, hard_bytes), hard_bytes))

    def _say(self, kind: Kind, content: object) -> None:
        self._channel.sendall(frame(kind, 0, json.dumps(content).encode()))


def _load_monty(source: str, limits: SourceLimits, memory_bytes: int) -> Runnable:
    from edged.sandbox.monty import load_monty  # optional; the zygote has loaded it

    return load_monty(source, limits, memory_bytes)


def _too_slow() -> ProgramRefused:
    return _refused("a program that takes too long to load", "move work into run()")


def _refused(what: str, instead: str) -> ProgramRefused:
    return ProgramRefused((Refusal(line=1, column=1, what=what, instead=instead),))


def _ignore(_unraisable: object) -> None:
    """Drop it."""
