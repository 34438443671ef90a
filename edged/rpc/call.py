"""An inbound call with a handler task: messages queue for it, and what it writes waits for room.

Runs in: the process of the server, on its loop. Talks to: its connection. Never: interprets a
message.

Flow control is the bound on both sides. What the handler has not read is not acknowledged, so a
slow handler stops its client after one window. Only a handler that waits for a message has its
bytes acknowledged as they come, so a message may be larger than the window. A writer waits until
its client has read.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from edged.rpc.codes import Code, Metadata
from edged.rpc.framing import Assembler, MessageMalformed, MessageTooLarge, frame
from edged.rpc.metadata import write_metadata
from edged.rpc.stream import FIRST_MESSAGE_S, Stream

if TYPE_CHECKING:
    from edged.rpc.connection import Connection


_NOTHING = Assembler(0, b"identity")  # of a call that takes no more
_MESSAGE_BYTES: Final = 128  # what it costs to keep one, be it empty


class CallEnded(Exception):
    """The call has its status already; nothing more can be read or written."""


class Call(Stream):
    """Invariant: the bytes of `_messages` and of the assembler are held with the connection."""

    __slots__ = (
        "_arrived",
        "_assembler",
        "_heard_by_s",
        "_messages",
        "_owed_bytes",
        "_postponed",
        "_timer",
        "is_cancelled",
        "on_closed",
        "response_encoding",
        "task",
    )

    def __init__(
        self,
        connection: "Connection",
        stream_id: int,
        headers: Mapping[bytes, bytes],
        deadline_s: float | None,
    ) -> None:
        super().__init__(connection, stream_id, headers, deadline_s)
        limit = connection.limits.max_receive_message_bytes
        self.task: asyncio.Task[None] | None = None
        self.is_cancelled = False  # by the client, a deadline or a lost connection
        self.on_closed: list[Callable[[], None]] = []
        self.response_encoding = b"identity"
        self._assembler = Assembler(limit, self.encoding)
        self._messages: deque[tuple[bytes, int]] = deque()  # and what to acknowledge for each
        self._owed_bytes = 0  # of the incomplete message, not acknowledged yet
        self._arrived: asyncio.Future[None] | None = None
        self._postponed: Callable[[], None] | None = None  # sends the status, once
        self._timer: asyncio.TimerHandle | None = None  # of the deadline, then of `_postponed`
        self._heard_by_s: float | None = connection.loop.time() + FIRST_MESSAGE_S
        """Until then the client's first bytes are still awaited; None once they came."""
        if deadline_s is not None:
            self._timer = connection.loop.call_at(deadline_s, self._expire)

    # Reading

    async def read(self) -> bytes | None:
        """Return the next message; None after the last. Raises CallEnded, CancelledError."""
        while not self._messages:
            if self.is_cancelled:  # also where it is read in a task of its own
                raise asyncio.CancelledError
            if self.is_finished:
                raise CallEnded
            if self.is_request_ended:
                self._check_whole()
                return None
            self._arrived = self.connection.loop.create_future()
            await self._arrived
        message, wire_bytes = self._messages.popleft()
        self.hold(-_kept_bytes(message))
        self.connection.acknowledge(self.id, wire_bytes)
        if not self._messages:
            self._acknowledge_incomplete()
        return message

    def take(self, data: bytes, *, is_end: bool) -> None:
        self.is_request_ended = is_end
        self._heard_by_s = None
        if self.is_finished:
            self.connection.acknowledge(self.id, len(data))
            self._send_postponed()
            return
        assembler = self._assembler
        before = assembler.held_bytes
        try:
            messages = assembler.feed(data)
        except (MessageTooLarge, MessageMalformed) as error:
            self.connection.acknowledge(self.id, len(data))
            self.hold(-before)
            self._assembler = _NOTHING
            self.reject(error)
            self.cancel()
            return
        self._keep(messages, before, len(data))
        self._wake()

    def _keep(self, messages: list[tuple[bytes, int]], before: int, data_bytes: int) -> None:
        if messages:
            first, wire_bytes = messages[0]
            # What was acknowledged while the first message was incomplete is not owed again.
            messages[0] = (first, wire_bytes - (before - self._owed_bytes))
            self._owed_bytes = self._assembler.held_bytes
        else:
            self._owed_bytes += data_bytes
        self._messages.extend(messages)
        held = self._assembler.held_bytes - before
        for message, _ in messages:
            held += _kept_bytes(message)
        self.hold(held)
        if not self._messages:
            self._acknowledge_incomplete()

    def _acknowledge_incomplete(self) -> None:
        owed, self._owed_bytes = self._owed_bytes, 0
        self.connection.acknowledge(self.id, owed)

    def _check_whole(self) -> None:
        if self._assembler.held_bytes:
            self.fail(Code.INTERNAL, "the request ends within a message")
            raise CallEnded

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    # Writing

    def begin(self, metadata: Metadata = ()) -> None:
        """Send the response's headers, once. Raises CallEnded, ValueError."""
        if self.is_finished:
            raise CallEnded
        if not self.has_headers:
            self.connection.begin(self, write_metadata(metadata))

    async def write(self, message: bytes, *, is_compressed: bool = True) -> None:
        """Send a message and wait until there is room for the next. Raises CallEnded."""
        if self.is_finished:
            raise CallEnded
        limit = self.connection.limits.max_send_message_bytes
        if len(message) > limit:
            error = MessageTooLarge(len(message), limit)
            self.fail(Code.RESOURCE_EXHAUSTED, f"response {error}")
            raise CallEnded
        encoding = self.response_encoding if is_compressed else b"identity"
        self.connection.send_data(self.id, frame(message, encoding=encoding))
        await self.connection.wait_for_room(self.id)

    def fail(self, code: int, details: str, trailing_metadata: Metadata = ()) -> None:
        if self.is_finished:
            return
        self.is_finished = True
        self._wake()
        self._postponed = partial(self.connection.end, self, code, details, trailing_metadata)
        loop = self.connection.loop
        if self._heard_by_s is None or self._heard_by_s <= loop.time():
            self._send_postponed()
        else:  # for the reason that `Refused` gives
            self._stop_timer()
            self._timer = loop.call_at(self._heard_by_s, self._send_postponed)

    def _send_postponed(self) -> None:
        postponed, self._postponed = self._postponed, None
        if postponed is not None:
            postponed()

    # Ending

    def cancel(self) -> None:
        """Stop the handler."""
        self.is_cancelled = True
        if self.task is not None:
            self.task.cancel()

    @property
    def is_waiting(self) -> bool:
        return super().is_waiting or bool(self._messages)

    def shed(self) -> None:
        self.fail(Code.RESOURCE_EXHAUSTED, "this server holds too many unread messages")
        self.cancel()
        self._forget()

    def closed(self) -> None:
        if self._messages or self._assembler.held_bytes:
            self._forget()
        self._stop_timer()
        self._postponed = None  # it holds this call in a cycle
        if not self.is_finished:
            self.is_finished = True
            self._wake()
            self.cancel()
        if self.on_closed:
            self._call_back()

    def _call_back(self) -> None:
        with ExitStack() as callbacks:  # each is called, even where another one raises
            for callback in reversed(self.on_closed):
                callbacks.callback(callback)

    def _forget(self) -> None:
        """Let go of what was not read."""
        self.connection.acknowledge(self.id, sum(size for _, size in self._messages))
        self._acknowledge_incomplete()
        kept = sum(_kept_bytes(message) for message, _ in self._messages)
        self.hold(-kept - self._assembler.held_bytes)
        self._messages.clear()
        self._assembler = _NOTHING

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        self.fail(Code.DEADLINE_EXCEEDED, "the deadline passed")
        self.cancel()


def _kept_bytes(message: bytes) -> int:
    return len(message) + _MESSAGE_BYTES
