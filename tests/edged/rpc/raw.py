"""A client on bare HTTP/2 frames, for what no well-behaved client would send."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import ngh2
from ngh2 import Configuration, Connection, Event, Role, Setting

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATH = b"/loopai.test.Conformance/unary_unary"
WAIT_S = 15.0


def headers(path: bytes = PATH, **changed: bytes | None) -> list[tuple[bytes, bytes]]:
    """Return the headers of a call. changed: `content_type=…`; None leaves one out."""
    fields: dict[bytes, bytes | None] = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path,
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }
    for name, value in changed.items():
        key = name.replace("_", "-").encode()
        fields[b":method" if key == b"method" else key] = value
    return [(name, value) for name, value in fields.items() if value is not None]


def frame(message: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


class RawClient:
    """One connection; the test drives every step."""

    def __init__(self, http: Connection) -> None:
        self.http = http
        self.events: list[Event] = []
        self.is_ended = False  # the server closed the connection

    @classmethod
    async def open(
        cls,
        target: str,
        settings: dict[Setting, int] | None = None,
        *,
        reads_by_itself: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Connect. reads_by_itself: consumed bytes are given back to the window at once."""
        host, _, port = target.rpartition(":")
        client = cls(Connection(Role.CLIENT, Configuration(auto_window_update=reads_by_itself)))
        name = "localhost" if tls else None
        client.reader, client.writer = await asyncio.open_connection(
            host, int(port), ssl=tls, server_hostname=name
        )
        client.http.initiate_connection(settings or {})
        await client.flush()
        return client

    async def flush(self) -> None:
        self.writer.write(self.http.data_to_send())
        await self.writer.drain()

    def start(self, head: list[tuple[bytes, bytes]], body: bytes = b"", *, end: bool = True) -> int:
        """Queue a request and return its stream."""
        stream = self.http.send_request(head, end_stream=end and not body)
        if body:
            self.http.send_data(stream, body, end_stream=end)
        return stream

    async def turn(self, timeout_s: float = WAIT_S) -> None:
        """Read once and answer what HTTP/2 itself wants answered."""
        data = await asyncio.wait_for(self.reader.read(1 << 16), timeout_s)
        if not data:
            self.is_ended = True
            return
        self.http.receive_data(data)
        self.events += self.http.events()
        await self.flush()

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Read until the condition gives something. Raises when the server hung up before."""
        while not (found := condition()):
            if self.is_ended:
                raise ConnectionError(f"closed before; seen: {self.events}")
            await self.turn()
        return found

    async def until_ended(self) -> None:
        while not self.is_ended:
            try:
                await self.turn()
            except (ConnectionError, ngh2.NGH2Error):
                self.is_ended = True

    async def call(self, head: list[tuple[bytes, bytes]], body: bytes = b"", **how: Any) -> "Seen":
        """Make a call and wait until its stream is over."""
        stream = self.start(head, body, **how)
        await self.flush()
        await self.until(lambda: self.find(ngh2.StreamClosed, stream))
        return self.seen(stream)

    async def statuses_of_young(self, head: list[tuple[bytes, bytes]]) -> list[int | None]:
        """Start a call with this head twice, and send a first message in one of them.

        Return the status before that message, None for not yet; behind it; and of the other call.
        """
        stream, silent = self.start(head, end=False), self.start(head, end=False)
        self.http.ping(b"in order")
        await self.flush()
        await self.until(lambda: self.find(ngh2.PingAcknowledged))
        early = self.seen(stream).status
        self.http.send_data(stream, frame(b"hi"))
        await self.flush()
        await self.until(lambda: self.find(ngh2.StreamClosed, stream))
        await self.until(lambda: self.find(ngh2.StreamClosed, silent))
        return [early, self.seen(stream).status, self.seen(silent).status]

    def find(self, kind: type[Event], stream: int | None = None) -> Event | None:
        matching = (
            event
            for event in self.events
            if isinstance(event, kind) and (stream is None or event.stream_id == stream)
        )
        return next(matching, None)

    def seen(self, stream: int) -> "Seen":
        return Seen([event for event in self.events if getattr(event, "stream_id", 0) == stream])

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


class Seen:
    """What came back on one stream."""

    def __init__(self, events: list[Event]) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.error_code = None
        for event in events:
            if isinstance(event, ngh2.ResponseReceived | ngh2.TrailersReceived):
                self.headers |= {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, ngh2.DataReceived):
                self.body += event.data
            elif isinstance(event, ngh2.StreamClosed):
                self.error_code = event.error_code

    @property
    def status(self) -> int | None:
        status = self.headers.get("grpc-status")
        return None if status is None else int(status)
