"""HTTP/1.1 connections of the gateway: requests out of bytes, one answer each, in order.

Runs in: the gateway, on its loop. Talks to: the transport and the door. Never: awaits, or knows
what a path means.

httptools parses. A generic ASGI server costs a task and three awaits a request and cannot bound
slow headers; a request here is one callback, under the limits and behind the listener of gRPC.
Pipelined requests are answered one after the other: the next begins when the last is answered, and
none while the client leaves answers unread: what is unsent is one answer above what the transport
takes (64 KiB).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol, cast

import httptools
import structlog

from edged.rpc.limits import Counters, Limits
from edged.rpc.peer import Peer, peer_of

log = structlog.get_logger()

JSON: Final = b"application/json"
_PIPELINED: Final = 8  # requests of one connection that may wait; above it nothing is read
_LINGER_S: Final = 2.0  # for a refused client to stop sending and read the answer
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus
}


@dataclass(slots=True)
class HttpRequest:
    """headers: lower-case names, the last of each. body: whole."""

    method: bytes
    peer: Peer
    path: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    keeps_alive: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Respond = Callable[[Answer], None]


class Door(Protocol):
    """What answers requests."""

    def answer(self, request: HttpRequest, respond: Respond) -> None:
        """Call `respond` exactly once, now or later."""
        ...

    def refuse(self, status: int, code: str, message: str) -> Answer: ...


class Owner(Protocol):
    """The server, as a connection sees it."""

    limits: Limits
    counters: Counters
    door: Door
    loop: asyncio.AbstractEventLoop
    is_draining: bool

    def opened(self, connection: "Http1") -> None: ...

    def lost(self, connection: "Http1") -> None: ...


class Http1(asyncio.Protocol):
    """One connection. Invariant: at most one request is being answered."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._limits = owner.limits
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer = Peer(address="")
        self._url = b""
        self._coming = HttpRequest(b"", self._peer)
        self._parts: list[bytes] = []
        self._header_bytes = 0  # read before the headers were complete
        self._has_headers = False
        self._body_bytes = 0
        self._waiting: deque[HttpRequest] = deque()
        self._answering: HttpRequest | None = None
        self._begun_s: float | None = None  # when the first byte of the coming request came
        self._idle_since_s = owner.loop.time()
        self._refused_s: float | None = None
        self._is_write_paused = False
        self._is_going_on = False  # _go_on is due
        self._unsent_bytes = 0  # at the last look
        self._unsent_since_s = owner.loop.time()  # when it last shrank, or held nothing up

    @property
    def is_busy(self) -> bool:
        return self._answering is not None or bool(self._waiting)

    @property
    def unsent_bytes(self) -> int:
        """Of answers that the client has not let us send."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def _is_closing(self) -> bool:
        """Whether nothing more can be answered."""
        return self._transport is None or self._transport.is_closing()

    @property
    def _is_held_up(self) -> bool:
        """Whether no answer may be written, now or any more."""
        return self._is_write_paused or self._is_closing

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        ssl_object = transport.get_extra_info("ssl_object")
        self._peer = peer_of(transport.get_extra_info("peername"), ssl_object)
        self._owner.opened(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        if self._refused_s is not None:
            return
        if self._begun_s is None:
            self._begun_s = self._owner.loop.time()
        if not self._has_headers:
            self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
            self._check_headers()
        except httptools.HttpParserUpgrade:
            return  # not taken up: the request was answered as any other, and ends the connection
        except _Refused as error:
            self._refuse(error.status, error.code, error.message)
        except httptools.HttpParserError as error:
            self._parser_failed(error.__context__)

    def pause_writing(self) -> None:
        self._is_write_paused = True
        self._pause_reading()

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._go_on_soon()

    # The parser

    def on_message_begin(self) -> None:
        self._url = b""
        self._parts = []
        self._body_bytes = 0
        self._coming = HttpRequest(b"", self._peer)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._coming.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._has_headers = True
        headers = self._coming.headers
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._limits.max_receive_message_bytes:
            self._raise_body_too_large()
        has_body = announced != b"0" or b"transfer-encoding" in headers
        if self._parser.should_upgrade() and has_body:  # the parser would not read it
            raise _Refused(400, "upgrade_unknown", "this door does not upgrade; leave it out")
        if headers.get(b"expect", b"").lower() == b"100-continue" and self._transport is not None:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.max_receive_message_bytes:
            self._raise_body_too_large()
        self._parts.append(body)

    def on_message_complete(self) -> None:
        request = self._coming
        request.method = self._parser.get_method()
        request.path = _path_of(self._url)
        request.body = b"".join(self._parts)
        request.keeps_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._parts = []
        self._header_bytes = 0
        self._has_headers = False
        self._begun_s = None
        self._waiting.append(request)
        if len(self._waiting) >= _PIPELINED:
            self._pause_reading()
        self._next()

    # Answers

    def _next(self) -> None:
        if self._is_held_up or self._answering is not None or not self._waiting:
            return
        request = self._waiting.popleft()
        self._answering = request
        self._owner.door.answer(request, lambda answer: self._respond(request, answer))

    def _respond(self, request: HttpRequest, answer: Answer) -> None:
        if self._answering is not request:
            return  # it was answered: a second answer would be taken for the next one's
        self._answering = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        keeps_alive = request.keeps_alive and not self._owner.is_draining
        transport.write(render(answer, keeps_alive=keeps_alive, is_head=request.method == b"HEAD"))
        self._idle_since_s = self._owner.loop.time()
        if not keeps_alive:
            transport.close()
        elif self._waiting:
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        """Not from inside an answer: a long pipeline must not nest."""
        if not self._is_going_on:
            self._is_going_on = True
            self._owner.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_going_on = False
        self._next()
        self._resume_reading()

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer what cannot be parsed; what follows has no known beginning and is thrown away.

        Closed while the client still sends, the connection would be reset before it has read why.
        """
        transport = self._transport
        if transport is None:
            return
        if not self.is_busy:
            answer = self._owner.door.refuse(status, code, message)
            transport.write(render(answer, keeps_alive=False, is_head=False))
        self._refused_s = self._owner.loop.time()

    def _check_headers(self) -> None:
        if not self._has_headers and self._header_bytes > self._limits.max_metadata_bytes:
            self._owner.counters.metadata_too_large += 1
            raise _Refused(431, "headers_too_large", "the headers are too large")

    def _parser_failed(self, cause: BaseException | None) -> None:
        """cause: what a callback of ours raised, if it was one."""
        if isinstance(cause, _Refused):
            self._refuse(cause.status, cause.code, cause.message)
            return
        self._owner.counters.protocol_errors += 1
        self._refuse(400, "http_malformed", "this is not an HTTP/1.1 request")

    def _raise_body_too_large(self) -> None:
        self._owner.counters.messages_too_large += 1
        limit = self._limits.max_receive_message_bytes
        raise _Refused(413, "body_too_large", f"the body is larger than {limit} bytes")

    # Life

    def tick(self, now_s: float, *, idle_timeout_s: float) -> None:
        """Close what stalls or idles; called about once a second."""
        if self._is_stalled(now_s):
            self._owner.counters.stalled_readers += 1
            self.abort()
        elif self._is_held_up or self.is_busy:
            self._idle_since_s = now_s
        else:
            self._look_at_client(now_s, idle_timeout_s)

    def _look_at_client(self, now_s: float, idle_timeout_s: float) -> None:
        """Close a connection whose client has been due for too long."""
        if self._refused_s is not None:
            if now_s - self._refused_s > _LINGER_S:
                self.close()
        elif self._begun_s is not None:
            if now_s - self._begun_s > self._limits.handshake_timeout_s:
                self._owner.counters.keepalives_unanswered += 1
                self._refuse(408, "request_timeout", "the request did not arrive in time")
        elif now_s - self._idle_since_s > idle_timeout_s:
            self._owner.counters.connections_idle += 1
            self.close()

    def drain(self) -> None:
        """Close now, or after the answers that are due."""
        if not self.is_busy:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        transport, self._transport = self._transport, None  # what it still holds goes with it
        if transport is not None:
            transport.abort()

    def _is_stalled(self, now_s: float) -> bool:
        """Return whether answers hold this connection up, and none of them was read for too long.

        A transport that closes waits for its client too, for ever if need be.
        """
        unsent = self.unsent_bytes
        if not self._is_held_up or unsent < self._unsent_bytes:
            self._unsent_since_s = now_s
        self._unsent_bytes = unsent
        return now_s - self._unsent_since_s > self._limits.stalled_timeout_s

    def _pause_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or transport.is_reading():
            return
        if not self._is_write_paused and len(self._waiting) < _PIPELINED:
            transport.resume_reading()


class _Refused(Exception):
    """Raised through the parser."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def render(answer: Answer, *, keeps_alive: bool, is_head: bool) -> bytes:
    """Return an answer's bytes."""
    parts = [
        _STATUS_LINES[answer.status],
        b"content-type: %b\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body)),
        *(b"%b: %b\r\n" % header for header in answer.headers),
        b"" if keeps_alive else b"connection: close\r\n",
        b"\r\n",
        b"" if is_head else answer.body,
    ]
    return b"".join(parts)


def _path_of(url: bytes) -> str:
    try:
        return httptools.parse_url(url).path.decode("ascii", "replace")
    except httptools.HttpParserInvalidURLError:
        return url.decode("latin-1")
