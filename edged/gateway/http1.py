"""HTTP/1.1 connections of the gateway: one answer to each request, in order.

Runs in: the gateway, on its loop. Talks to: the transport, the reader and the door. Never: awaits,
or knows what a path means.

`http_reader` parses. A generic ASGI server costs a task and three awaits a request and cannot bound
slow headers; a request here is one callback, under the limits and behind the listener of gRPC.
Pipelined requests are answered one after the other: the next begins when the last is answered, and
none while the client leaves answers unread: what is unsent is one answer above what the transport
takes (64 KiB).
"""

import asyncio
from collections import deque
from typing import Final, Protocol, cast

from edged.gateway.http_answer import Answer, Door, render
from edged.gateway.http_reader import HttpRequest, Reader, Refused
from edged.rpc.limits import Counters, Limits
from edged.rpc.peer import peer_of
from edged.rpc.unread import Unread

_PIPELINED: Final = 8  # requests of one connection that may wait; above it nothing is parsed
_LINGER_S: Final = 2.0  # for a refused client to stop sending and read the answer
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Owner(Protocol):
    """The server, as a connection sees it."""

    limits: Limits
    counters: Counters
    door: Door
    loop: asyncio.AbstractEventLoop
    is_draining: bool

    def opened(self, connection: "Http1") -> None: ...

    def lost(self, connection: "Http1") -> None: ...

    def hold(self, count: int) -> bool:
        """Account for request bytes in memory; False when there are too many."""
        ...


class Http1(asyncio.Protocol):
    """One connection. Invariant: at most one request is being answered."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._reader = Reader(
            owner.limits, owner.counters, owner.loop.time, self._take, owner.door.check
        )
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[HttpRequest] = deque()
        self._answering: HttpRequest | None = None
        self._held_bytes = 0  # of requests, as the owner knows
        self._idle_since_s = owner.loop.time()
        self._refusal: Answer | None = None  # the last answer; nothing is read after it
        self._refused_s: float | None = None  # when the client was sent it
        self._is_write_paused = False
        self._is_going_on = False  # _go_on is due
        self._unread = Unread(owner.limits, owner.loop.time())

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
        self._reader.peer = peer_of(transport.get_extra_info("peername"), ssl_object)
        self._owner.opened(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._forget()
        self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        if self._refusal is None:
            self._reader.feed(data)
            self._read()

    def pause_writing(self) -> None:
        self._is_write_paused = True
        self._pause_reading()

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._go_on_soon()

    # Requests

    def _read(self) -> None:
        """Take requests out of what has come, as many as may wait."""
        try:
            self._reader.read(self._has_room)
        except Refused as error:
            self._refuse(error.status, error.code, error.message)
        if self._reader.has_more or not self._has_room():
            self._pause_reading()
        if not self._account():
            self._waiting.clear()
            text = "this server holds too many unfinished requests"
            self._refuse(503, "too_many_unfinished", text)
            self._account()
        self._go_ahead()

    def _has_room(self) -> bool:
        return len(self._waiting) < _PIPELINED and not self._is_closing

    def _take(self, request: HttpRequest) -> None:
        self._waiting.append(request)
        self._next()

    def _go_ahead(self) -> None:
        """Tell a client that waits to send its body to do so, when it is its turn."""
        is_due = self._reader.awaits_go_ahead and not (self.is_busy or self._is_held_up)
        if is_due and self._transport is not None:
            self._reader.awaits_go_ahead = False
            self._reader.restart_clock()
            self._transport.write(_CONTINUE)

    def _account(self) -> bool:
        """Tell the owner what is held now; False when that is too much."""
        held_bytes = self._reader.held_bytes
        if self._waiting:
            held_bytes += sum(request.size_bytes for request in self._waiting)
        count, self._held_bytes = held_bytes - self._held_bytes, held_bytes
        return not count or self._owner.hold(count)

    def _forget(self) -> None:
        """Let go of what is neither answered nor being answered."""
        self._waiting.clear()
        self._reader.forget()
        self._account()

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
        elif self._waiting or self._refusal is not None or self._reader.awaits_go_ahead:
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        """Not from inside an answer: a long pipeline must not nest."""
        if not self._is_going_on:
            self._is_going_on = True
            self._owner.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_going_on = False
        self._next()
        self._read()
        self._send_refusal()
        self._resume_reading()

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Read no more, and say why when what came before is answered.

        What follows has no known beginning and is thrown away.
        """
        self._refusal = self._owner.door.refuse(status, code, message)
        self._reader.forget()
        self._send_refusal()

    def _send_refusal(self) -> None:
        """Closed while the client still sends, the connection is reset before it has read why."""
        transport = self._transport
        if self._refusal is None or self._refused_s is not None or transport is None:
            return
        if not (self.is_busy or self._is_held_up):
            transport.write(render(self._refusal, keeps_alive=False, is_head=False))
            self._refused_s = self._owner.loop.time()

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
        elif self._reader.is_late(now_s):
            self._owner.counters.keepalives_unanswered += 1
            self._refuse(408, "request_timeout", "the request did not arrive in time")
            self._account()
        elif self._reader.begun_s is None and now_s - self._idle_since_s > idle_timeout_s:
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
        """A transport that closes waits for its client too, for ever if need be."""
        return self._unread.is_stalled(now_s, self.unsent_bytes, holds_up=self._is_held_up)

    def _pause_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or transport.is_reading():
            return
        if self._is_write_paused or self._reader.has_more or not self._has_room():
            return
        self._reader.restart_clock()
        transport.resume_reading()
