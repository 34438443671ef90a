"""One inbound call as its connection sees it, and the fast kind: bytes in, one reply out.

Runs in: the process of the server, on its loop. Talks to: its connection. Never: awaits.

A raw call is the whole cost of a hot unary method beside the handler: one object of a few words, no
task, no context, no queue.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import structlog

from edged.rpc.codes import Code, Metadata, RpcError
from edged.rpc.framing import (
    PREFIX,
    PREFIX_BYTES,
    Assembler,
    MessageMalformed,
    MessageTooLarge,
)
from edged.rpc.metadata import read_metadata

if TYPE_CHECKING:
    from edged.rpc.connection import Connection

log = structlog.get_logger(__name__)

FIRST_MESSAGE_S: Final = 0.1  # it leaves right behind the headers

RawHandler = Callable[[bytes, "RawCall"], None]


class Stream(ABC):
    """What every inbound call has. deadline_s: on the loop's clock."""

    __slots__ = (
        "connection",
        "deadline_s",
        "has_headers",
        "headers",
        "held_bytes",
        "id",
        "is_finished",
        "is_request_ended",
    )

    def __init__(
        self,
        connection: "Connection",
        stream_id: int,
        headers: Mapping[bytes, bytes],
        deadline_s: float | None,
    ) -> None:
        """headers: the last of each name."""
        self.connection = connection
        self.id = stream_id
        self.headers = headers
        self.deadline_s = deadline_s
        self.is_finished = False  # its status is on the way, or nobody waits for it
        self.is_request_ended = False
        self.has_headers = False  # the response has begun
        self.held_bytes = 0  # in memory for this call, as the server accounts for them

    @property
    def encoding(self) -> bytes:
        """The request's; an unknown one was refused when the stream opened."""
        return self.headers.get(b"grpc-encoding", b"identity")

    @property
    def is_waiting(self) -> bool:
        """Whether something of the request is still to come, or to be read."""
        return not (self.is_finished or self.is_request_ended)

    def hold(self, count: int) -> None:
        """Account for bytes in memory. It may end this call, or another one: see `shed`."""
        self.held_bytes += count
        self.connection.hold(count)

    @abstractmethod
    def shed(self) -> None:
        """End the call and let its request go, since all requests together hold too much."""

    @abstractmethod
    def take(self, data: bytes, *, is_end: bool) -> None:
        """Take request bytes."""

    @abstractmethod
    def closed(self) -> None:
        """Take note that the client is gone, or has its answer."""

    @abstractmethod
    def fail(self, code: int, details: str, trailing_metadata: Metadata = ()) -> None:
        """End the call with a status; later ends are ignored."""

    def reject(self, error: MessageTooLarge | MessageMalformed) -> None:
        if isinstance(error, MessageTooLarge):
            self.connection.counters.messages_too_large += 1
            self.fail(Code.RESOURCE_EXHAUSTED, f"request {error}")
        else:
            self.fail(Code.INTERNAL, f"request: {error}")


class Refused(Stream):
    """A call that is refused: when its client has sent something, or has not for a while.

    A client of grpc.aio whose stream ends before its first message is written calls that an
    internal error, whatever status came.
    """

    __slots__ = ("_error", "_timer")

    def __init__(self, connection: "Connection", stream_id: int, error: RpcError) -> None:
        super().__init__(connection, stream_id, {}, None)
        self._error = error
        self._timer = connection.loop.call_later(FIRST_MESSAGE_S, self.shed)

    def take(self, data: bytes, *, is_end: bool) -> None:
        self.is_request_ended = is_end
        self.connection.acknowledge(self.id, len(data))
        self.shed()

    def shed(self) -> None:
        if not self.is_finished:
            self.closed()
            self.connection.refuse(self, self._error)

    def closed(self) -> None:
        self.is_finished = True
        self._timer.cancel()

    def fail(self, code: int, details: str, trailing_metadata: Metadata = ()) -> None:
        """It ends with its own status."""


class RawCall(Stream):
    """A call of a raw method. The handler calls `reply` or `fail` once, now or later."""

    __slots__ = ("_assembler", "_handler", "_is_begun", "on_cancel")

    def __init__(
        self,
        connection: "Connection",
        stream_id: int,
        headers: Mapping[bytes, bytes],
        deadline_s: float | None,
        handler: RawHandler,
    ) -> None:
        super().__init__(connection, stream_id, headers, deadline_s)
        self.on_cancel: Callable[[], None] | None = None
        """Called when the caller went away before the reply."""
        self._handler = handler
        self._assembler: Assembler | None = None
        self._is_begun = False

    @property
    def metadata(self) -> Metadata:
        """The caller's metadata, the last of each key. Raises ValueError on bad base64."""
        return read_metadata(self.headers.items())

    def reply(self, message: bytes) -> None:
        """Answer with a message and status OK."""
        if not self.is_finished:
            self.is_finished = True
            self.connection.reply(self, message)

    def fail(self, code: int, details: str, trailing_metadata: Metadata = ()) -> None:
        if not self.is_finished:
            self.is_finished = True
            self.connection.end(self, code, details, trailing_metadata)

    def take(self, data: bytes, *, is_end: bool) -> None:
        self.is_request_ended = is_end
        if self.is_finished:
            self.connection.acknowledge(self.id, len(data))
            return
        if is_end and self._assembler is None and len(data) >= PREFIX_BYTES:
            flag, size = PREFIX.unpack_from(data)
            limit = self.connection.limits.max_receive_message_bytes
            if not flag and size == len(data) - PREFIX_BYTES and size <= limit:
                self.connection.acknowledge(self.id, len(data))
                self._begin(data[PREFIX_BYTES:])
                return
        self._take_slowly(data)

    def shed(self) -> None:
        self.fail(Code.RESOURCE_EXHAUSTED, "this server holds too many unfinished requests")
        self._forget()

    def closed(self) -> None:
        self._forget()
        if not self.is_finished:
            self.is_finished = True
            if self.on_cancel is not None:
                self.on_cancel()

    def _begin(self, message: bytes) -> None:
        self._is_begun = True
        try:
            self._handler(message, self)
        except Exception as error:
            log.exception("rpc_handler_failed", method=self.headers.get(b":path"))
            self.fail(Code.UNKNOWN, f"Unexpected {type(error).__name__}")

    def _take_slowly(self, data: bytes) -> None:
        """Take a message that is compressed, in pieces, or wrong."""
        connection = self.connection
        connection.acknowledge(self.id, len(data))  # what is kept is bounded by `hold`
        if self._assembler is None:
            self._assembler = Assembler(connection.limits.max_receive_message_bytes, self.encoding)
        before = self._assembler.held_bytes
        try:
            messages = self._assembler.feed(data)
        except (MessageTooLarge, MessageMalformed) as error:
            self.hold(-before)
            self._assembler = None
            self.reject(error)
            return
        incomplete = self._assembler.held_bytes
        self.hold(incomplete - before)
        if self.is_finished:
            return
        if len(messages) + self._is_begun > 1:
            self.fail(Code.UNIMPLEMENTED, "a unary method takes one message")
        elif messages:
            self._begin(messages[0][0])
        elif self.is_request_ended and not self._is_begun:
            self._refuse_incomplete(incomplete)

    def _refuse_incomplete(self, count: int) -> None:
        if count:
            self.fail(Code.INTERNAL, "the request ends within a message")
        else:
            self.fail(Code.UNIMPLEMENTED, "the method takes one message, and none came")

    def _forget(self) -> None:
        if self._assembler is not None:
            self.hold(-self._assembler.held_bytes)
            self._assembler = None
