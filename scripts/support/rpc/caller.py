"""Make unary gRPC calls on bare HTTP/2: fast, and exact about what became of each.

Runs in: the load generator, chaos, tests. Never: tries a call again; it says which calls may be.

A GOAWAY closes the connection for new calls; what the server took is still answered on it. HTTP/2
tells what it did not take: streams above the GOAWAY's last, and those reset with REFUSED_STREAM.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from typing import cast

from ngh2 import (
    Configuration,
    Connection,
    ConnectionClosed,
    DataReceived,
    Event,
    GoAwayReceived,
    ResponseReceived,
    Role,
    Setting,
    StreamClosed,
    TrailersReceived,
)

OK = 0
REFUSED = -1  # the server did not take the call: sending it on another connection is no retry
LOST = -2  # the connection ended, or the stream was reset, while the server had the call
NO_STATUS = -3  # answered without a grpc-status
REFUSED_STREAM = 7
WINDOW_BYTES = 1 << 24

Headers = tuple[tuple[bytes, bytes], ...]


class Call:
    """One call. begun_s: on the monotonic clock; of an open loop, when it should have begun."""

    __slots__ = ("begun_s", "body", "done", "status")

    def __init__(self, done: "Callable[[Call], None]", begun_s: float) -> None:
        self.done = done
        self.begun_s = begun_s
        self.status = NO_STATUS
        self.body = b""


class Caller(asyncio.Protocol):
    """One connection to one method. Calls are sent by `flush`, or after the next answers."""

    def __init__(self, method: str, metadata: Headers = (), *, scheme: str = "http") -> None:
        self._headers: Headers = (
            (b":method", b"POST"),
            (b":scheme", scheme.encode()),
            (b":path", method.encode()),
            (b":authority", b"localhost"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *metadata,
        )
        self._http = Connection(Role.CLIENT, Configuration(peer_max_concurrent_streams=1_000))
        self._calls: dict[int, Call] = {}
        self._transport: asyncio.WriteTransport | None = None
        self.is_open = False  # takes new calls
        self.on_closing: Callable[[], None] = _nothing  # GOAWAY came, or the connection is lost
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self.is_open = True
        self._http.initiate_connection({Setting.INITIAL_WINDOW_SIZE: WINDOW_BYTES})
        self._http.set_local_window_size(WINDOW_BYTES)
        self.flush()

    def call(self, frame: bytes, done: Callable[[Call], None], begun_s: float = 0.0) -> None:
        """Queue one call. frame: the message with its five bytes of prefix, see `framed`.

        On a connection that takes no more, `done` is told REFUSED at once.
        """
        if not self.is_open:
            call = Call(done, begun_s)
            call.status = REFUSED
            done(call)
            return
        stream = self._http.send_request(self._headers)
        self._http.send_data(stream, frame, end_stream=True)
        self._calls[stream] = Call(done, begun_s or time.perf_counter())

    def flush(self) -> None:
        """Send what was queued; a call that a GOAWAY overtook is reported here, as refused."""
        while True:
            data = self._http.data_to_send()
            if data and self._transport is not None:
                self._transport.write(data)
            events = self._http.events()
            if not events:
                return
            self._take(events)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._take(self._http.events())
        self.flush()  # the calls that `done` began, acknowledgements, window updates: one write

    def connection_lost(self, _error: Exception | None) -> None:
        lost, self._calls = self._calls, {}
        self._begin_closing()
        for call in lost.values():
            call.status = LOST
            call.done(call)
        if not self.closed.done():
            self.closed.set_result(None)

    def _take(self, events: Iterable[Event]) -> None:
        calls = self._calls
        for event in events:
            if type(event) is StreamClosed:
                self._finish(event)
            elif type(event) is TrailersReceived or type(event) is ResponseReceived:
                _note_status(calls[event.stream_id], event.headers)
            elif type(event) is DataReceived:
                calls[event.stream_id].body += event.data
            elif type(event) is GoAwayReceived:
                self._begin_closing()
            elif type(event) is ConnectionClosed:
                self.close()

    def _finish(self, event: StreamClosed) -> None:
        call = self._calls.pop(event.stream_id)
        if event.error_code:
            call.status = REFUSED if event.error_code == REFUSED_STREAM else LOST
        call.done(call)

    def _begin_closing(self) -> None:
        if self.is_open:
            self.is_open = False
            self.on_closing()


def _note_status(call: Call, headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name == b"grpc-status":
            call.status = int(value)


def framed(message: bytes) -> bytes:
    """Return a message as gRPC puts it into DATA: not compressed, with its length."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def tls_context(ca: str) -> ssl.SSLContext:
    """Return the client side of TLS 1.3 with ALPN h2, trusting one authority. ca: path of a PEM."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    return context


async def connect(
    address: str, method: str, metadata: Headers = (), *, tls: ssl.SSLContext | None = None
) -> Caller:
    """Open one connection. address: host:port. Raises OSError."""
    host, _, port = address.rpartition(":")
    scheme = "https" if tls else "http"
    _, caller = await asyncio.get_running_loop().create_connection(
        lambda: Caller(method, metadata, scheme=scheme),
        host.strip("[]"),
        int(port),
        ssl=tls,
        server_hostname="localhost" if tls else None,
    )
    return caller


def _nothing() -> None:
    """Be the hook that nobody set."""
