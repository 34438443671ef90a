"""Bytes of one HTTP/2 connection: in to events, out from frames. The only file that knows ngh2.

Runs in: the process of the server, on its loop. Talks to: the transport. Never: knows gRPC, or
keeps a byte that no limit bounds.

libnghttp2 does framing, HPACK and flow control; it neither reads nor writes. Whatever is to be sent
in one turn of the event loop goes out in one write at its end: the answers of a whole batch share a
system call. The connection's own receive window is left wide open, since every stream has one and
the owner bounds the sum: one slow handler then holds up nobody else.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, cast

import ngh2
import structlog

from edged.rpc.endings import ENHANCE_YOUR_CALM, NO_ERROR, Endings
from edged.rpc.guard import Guard
from edged.rpc.limits import Counters, Limits
from edged.rpc.metadata import Header

log = structlog.get_logger(__name__)

_SEND_BYTES: Final = 256 * 1024  # one write; the transport takes more when it has sent it
_ROOM_BYTES: Final = 64 * 1024  # unsent bytes of a stream above which its writer waits
_WIDE_OPEN: Final = 2**31 - 1


class Http2(asyncio.Protocol, ABC):
    """The server's end of a connection; a subclass says what its events mean."""

    _acts: ClassVar[dict[type, Callable[[Any, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        cls._acts = {
            ngh2.RequestReceived: cls.on_request,
            ngh2.DataReceived: cls.on_data,
            ngh2.TrailersReceived: cls.on_trailers,
            ngh2.StreamClosed: cls.on_closed,
            ngh2.StreamReset: cls._on_reset,
            ngh2.SettingsReceived: cls._on_settings,
            ngh2.PingReceived: cls._on_ping,
            ngh2.PingAcknowledged: cls.on_pong,
            ngh2.ConnectionClosed: cls._on_connection_closed,
        }

    def __init__(self, limits: Limits, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = limits
        self.counters = counters
        self.loop = loop
        self.guard = Guard(limits, counters, loop.time())
        self._endings = Endings(counters)
        self.transport: asyncio.Transport | None = None
        self._is_flush_due = False
        self._is_write_paused = False
        self._is_ended = False  # by us, for its conduct
        self._room: dict[int, asyncio.Future[None]] = {}  # writers that wait, by stream
        self._early: set[int] = set()  # answered before their request ended
        self._h2 = ngh2.Connection(
            ngh2.Role.SERVER,
            ngh2.Configuration(
                auto_window_update=False,
                max_inbound_header_list_size=4 * limits.max_metadata_bytes,
            ),
        )

    # What the subclass says

    @abstractmethod
    def on_request(self, event: ngh2.RequestReceived) -> None: ...

    @abstractmethod
    def on_data(self, event: ngh2.DataReceived) -> None: ...

    @abstractmethod
    def on_trailers(self, event: ngh2.TrailersReceived) -> None: ...

    def on_closed(self, event: ngh2.StreamClosed) -> None:
        self._early.discard(event.stream_id)
        if self._room:
            self._wake(event.stream_id)

    @abstractmethod
    def on_pong(self, event: ngh2.PingAcknowledged) -> None: ...

    def on_sent(self) -> None:
        """Everything that could be sent was given to the transport."""

    @abstractmethod
    def on_lost(self) -> None: ...

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # of a stream socket
        limits = self.limits
        self._h2.initiate_connection(
            {
                ngh2.Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
                ngh2.Setting.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
                ngh2.Setting.MAX_HEADER_LIST_SIZE: limits.max_metadata_bytes,
            }
        )
        self._h2.set_local_window_size(_WIDE_OPEN)
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            self._h2.receive_data(data)
            self._act_on_events()
        except ngh2.NGH2Error as error:
            self._break(error)
            return
        self.flush_soon()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport = None
        for stream_id in list(self._room):
            self._wake(stream_id)
        self.on_lost()

    def pause_writing(self) -> None:
        self._is_write_paused = True
        self._set_reading(is_on=False)

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._set_reading(is_on=True)
        self.flush_soon()

    # What streams ask for. A stream may be gone by now: its end is on the way to us.

    def respond(
        self, stream_id: int, headers: Sequence[Header], *, end_stream: bool = False
    ) -> None:
        self._attempt(self._h2.send_response, stream_id, headers, end_stream=end_stream)

    def respond_whole(
        self,
        stream_id: int,
        headers: Sequence[Header],
        data: bytes,
        trailers: Sequence[Header],
    ) -> None:
        """Send headers, one piece of data and trailers: the path of every hot answer."""
        h2 = self._h2
        try:
            h2.send_response(stream_id, headers)
            h2.send_data(stream_id, data)
            h2.send_trailers(stream_id, trailers)
        except ngh2.NGH2Error:
            return
        if not self._is_flush_due:
            self.flush_soon()

    def send_data(self, stream_id: int, data: bytes) -> None:
        self.guard.sent_data()
        self._attempt(self._h2.send_data, stream_id, data)

    def send_trailers(self, stream_id: int, headers: Sequence[Header]) -> None:
        self._attempt(self._h2.send_trailers, stream_id, headers)

    def reset_after_answer(self, stream_id: int) -> None:
        """Tell a client that still sends to stop, once it has been sent its answer."""
        self._early.add(stream_id)

    async def wait_for_room(self, stream_id: int) -> None:
        """Return when little of what this stream wrote is unsent, or it has ended."""
        while self._is_full(stream_id):
            room = self._room.get(stream_id)
            if room is None or room.done():
                room = self._room[stream_id] = self.loop.create_future()
            await room

    def acknowledge(self, stream_id: int, count: int) -> None:
        """Let the client send that much more. Due for every byte, of ended streams as well."""
        if not count:
            return
        try:
            self._h2.acknowledge_received_data(count, stream_id)
        except ngh2.NGH2Error:
            return
        if not self._is_flush_due:
            self.flush_soon()

    # Life

    def ping(self, data: bytes) -> None:
        """data: 8 bytes."""
        self._attempt(self._h2.ping, data)

    def send_shutdown_notice(self) -> None:
        """Ask for new calls to go elsewhere; those on their way are still taken."""
        self._attempt(self._h2.send_shutdown_notice)

    def send_goaway(self) -> None:
        """Name the last call that is taken."""
        self._attempt(self._h2.send_goaway)

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Send what is ready and close."""
        self._flush()
        if self.transport is not None:
            self.transport.close()

    @property
    def unsent_bytes(self) -> int:
        """Of answers that the client has not let us send."""
        if self.transport is None:
            return 0
        return self._h2.queued_body_size() + self.transport.get_write_buffer_size()

    def flush_soon(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            self.loop.call_soon(self._flush)

    # Inside

    def _set_reading(self, *, is_on: bool) -> None:
        """Take no more from a client that takes nothing from us, or go on."""
        transport = self.transport
        if transport is None or transport.is_closing() or transport.is_reading() is is_on:
            return
        if is_on:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def _act_on_events(self) -> None:
        events = self._h2.events()
        if not events:
            return
        self.guard.heard_s = self.loop.time()
        acts = self._acts
        for event in events:
            act = acts.get(type(event))
            if act is not None:
                act(self, event)
                if self._is_ended:  # a flood is counted once, however much of it was read
                    return

    def _on_reset(self, _event: ngh2.StreamReset) -> None:
        self._endings.has_resets = True

    def _on_settings(self, _event: ngh2.SettingsReceived) -> None:
        if not self.guard.got_settings(self.loop.time()):
            self._calm_down("settings_flood")

    def _on_ping(self, _event: ngh2.PingReceived) -> None:
        if not self.guard.got_ping(self.loop.time()):
            self._calm_down("too_many_pings")

    def _attempt(self, act: Callable[..., Any], *words: Any, **named: Any) -> None:
        if self.transport is None:
            return
        try:
            act(*words, **named)
        except ngh2.NGH2Error:
            return
        self.flush_soon()

    def _flush(self) -> None:
        """Write what is ready, until the transport has enough."""
        self._is_flush_due = False
        transport, h2 = self.transport, self._h2
        if transport is None:
            return
        try:
            while not self._is_write_paused:
                data = h2.data_to_send(_SEND_BYTES)
                if data:
                    transport.write(data)
                if len(data) < _SEND_BYTES:
                    break
            self._act_on_events()
            is_over = not (h2.want_read or h2.want_write)
        except ngh2.NGH2Error:
            is_over = True
        if self._room or self._early:
            self._after_flush()
        if is_over:
            transport.close()
        else:
            self.on_sent()

    def _after_flush(self) -> None:
        for stream_id in list(self._room):
            if not self._is_full(stream_id):
                self._wake(stream_id)
        if self._is_write_paused:
            return
        for stream_id in [one for one in self._early if not self._h2.queued_body_size(one)]:
            self._early.discard(stream_id)
            self._attempt(self._h2.reset_stream, stream_id, NO_ERROR)

    def _is_full(self, stream_id: int) -> bool:
        if self.transport is None:
            return False
        return self._is_write_paused or self._h2.queued_body_size(stream_id) > _ROOM_BYTES

    def _wake(self, stream_id: int) -> None:
        room = self._room.pop(stream_id, None)
        if room is not None and not room.done():
            room.set_result(None)

    def _on_connection_closed(self, event: ngh2.ConnectionClosed) -> None:
        if not self._is_ended:  # what we end is counted where we do
            self._endings.count_closed(event.error_code, event.debug_data)

    def _calm_down(self, reason: str) -> None:
        self._is_ended = True
        log.info("connection_closed", reason=reason)
        self._attempt(self._h2.send_goaway, ENHANCE_YOUR_CALM, debug_data=reason.encode())
        self.close()

    def _break(self, error: ngh2.NGH2Error) -> None:
        is_flood = isinstance(error, ngh2.DenialOfServiceError)
        last_words = self._endings.count_broken(str(error), is_flood=is_flood)
        if self.transport is not None:
            if last_words:
                self.transport.write(last_words)
            self.transport.close()
