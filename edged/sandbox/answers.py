"""Finished answers on their way out, several in one write.

Runs in: a worker. Talks to: its pool. Never: keeps an answer while a long call runs.

Answers wait for the end of the batch they belong to, or for FLUSH_AFTER_NS. If a long call follows
a short one in the same batch, a timer signal hands the short one's answer over in the middle of it.
That timer counts processor time and is checked at the kernel's tick (4 ms at most). A precise one
would be due before any other event of the machine: setting it for every call cost 12 µs, this one
costs 1 µs for every batch.
"""

import signal
import socket
from types import FrameType
from typing import Final

from edged.sandbox.deadline import SoftDeadline

FLUSH_AFTER_NS: Final = 200_000
_HAND_OVER_S: Final = 0.001


class Answers:
    """At most one object a process: it owns SIGPROF.

    Invariant: `_frames` is one list for ever, and only `flush` takes from it, one at a time: the
    signal may come between any two bytecodes of the others.
    """

    def __init__(self, channel: socket.socket, deadline: SoftDeadline) -> None:
        self._channel = channel
        self._deadline = deadline
        self._frames: list[bytes] = []
        self._since_ns = 0
        self._is_flushing = False

    def install(self) -> None:
        """Take SIGPROF over; before the process is locked."""
        signal.signal(signal.SIGPROF, self._on_timer)

    def add(self, answer: bytes, now_ns: int) -> None:
        if not self._frames:
            self._since_ns = now_ns
            signal.setitimer(signal.ITIMER_PROF, _HAND_OVER_S)
        self._frames.append(answer)
        if now_ns - self._since_ns > FLUSH_AFTER_NS:
            self.flush()

    def flush(self) -> None:
        if self._is_flushing:
            return
        self._is_flushing = True
        try:
            if self._frames:
                frames = b"".join(self._frames)
                self._frames.clear()
                self._channel.sendall(frames)
        finally:
            self._is_flushing = False

    def _on_timer(self, _signal: int, _frame: FrameType | None) -> None:
        # Half of an answer on the wire would cost all the others.
        self._deadline.is_held = True
        try:
            self.flush()
        finally:
            self._deadline.is_held = False
