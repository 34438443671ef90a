"""Serve the REST doors: uvicorn behind our listener, which does TLS 1.3 and bounds connections.

Runs in: the server. Talks to: people and CI. Never: handles a signal; the composition root stops
everything in order.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from controlplane.api.app import build
from controlplane.api.parts import ApiParts
from edged.rpc.limits import Counters, Limits
from edged.rpc.listener import Listener
from edged.rpc.tls import Tls, TlsFiles

MAX_WEBSOCKET_MESSAGE_BYTES = 4_096  # clients send none; uvicorn pings them every 20 s
TICKS_A_SECOND = 10  # uvicorn's


class RestServer(uvicorn.Server):
    """Uvicorn without its listeners and its signal handlers."""

    def __init__(
        self, parts: ApiParts, listener: socket.socket, tls: Tls | None, stop_timeout_s: float
    ) -> None:
        """Raises TlsUnusable."""
        counters = Counters()
        super().__init__(_config(parts, counters, stop_timeout_s))
        files = TlsFiles(tls, ("http/1.1",)) if tls else None
        self._listener = Listener(listener, files, self._protocol, Limits(), counters)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listener.open(asyncio.get_running_loop())

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_SECOND == 0:
            self._listener.tick()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._listener.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


class PromptHttp(HttpToolsProtocol):
    """Ends a client that does not bring a request's head to its end. Uvicorn waits for ever."""

    head_timeout_s = Limits().handshake_timeout_s
    _head: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = self.loop.call_later(self.head_timeout_s, transport.close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head.cancel()
        self._head = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def on_headers_complete(self) -> None:
        self._head.cancel()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.cancel()
        super().connection_lost(exc)


def _config(parts: ApiParts, counters: Counters, stop_timeout_s: float) -> uvicorn.Config:
    """Either protocol ends a connection: a websocket takes the place of the HTTP it began as."""

    class Http(PromptHttp):
        def connection_lost(self, exc: Exception | None) -> None:
            counters.connections -= 1
            super().connection_lost(exc)

    class WebSocket(WebSocketsSansIOProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            counters.connections -= 1
            super().connection_lost(exc)

    return uvicorn.Config(
        build(parts),
        http=Http,
        ws=WebSocket,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        ws_max_size=MAX_WEBSOCKET_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # messages are short, and its buffers are not
        timeout_graceful_shutdown=int(stop_timeout_s),
    )
