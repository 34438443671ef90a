"""POST over HTTP/1.1, keep-alive, one request at a time a connection.

Runs in: the load generator where h2load is absent. Never: pipelines.
"""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import httptools

from scripts.support.rpc.caller import LOST, OK, Call


class Poster(asyncio.Protocol):
    """One connection; offers what `rpc.caller.Caller` offers."""

    def __init__(self, path: str) -> None:
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        ).encode()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._queued = b""
        self._call: Call | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def call(self, body: bytes, done: Callable[[Call], None], begun_s: float = 0.0) -> None:
        """Queue one request."""
        self._call = Call(done, begun_s or time.perf_counter())
        self._queued = b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)

    def flush(self) -> None:
        if self._queued and self._transport is not None:
            self._transport.write(self._queued)
            self._queued = b""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        self.flush()

    def connection_lost(self, _error: Exception | None) -> None:
        self._finish(LOST)

    def on_body(self, body: bytes) -> None:
        if self._call is not None:
            self._call.body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._finish(OK if 200 <= status < 300 else status)

    def _finish(self, status: int) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.status = status
            call.done(call)


async def connect(address: str, path: str) -> Poster:
    """Open one connection. address: host:port."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, poster = await loop.create_connection(lambda: Poster(path), host.strip("[]"), int(port))
    return poster
