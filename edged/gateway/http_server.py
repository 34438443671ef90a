"""The HTTP/1.1 server: a listener, its connections, and how they end.

Runs in: the gateway, on its loop. Never: binds; the socket is given.
"""

import asyncio
import contextlib
from socket import socket
from typing import Final

from edged.gateway.http1 import Door, Http1
from edged.rpc.limits import Counters, Limits
from edged.rpc.listener import Listener
from edged.rpc.tls import Tls, TlsFiles

_TICK_S: Final = 1.0
IDLE_TIMEOUT_S: Final = 75.0  # what most proxies use, so that they close first


class HttpServer:
    """Serves one door on one socket."""

    def __init__(self, door: Door, listener: socket, limits: Limits, tls: Tls | None) -> None:
        """Raises TlsUnusable."""
        self.door = door
        self.limits = limits
        self.counters = Counters()
        self.is_draining = False
        self.loop = asyncio.get_running_loop()
        self._connections: set[Http1] = set()
        self._empty = asyncio.Event()
        files = TlsFiles(tls, ("http/1.1",)) if tls else None
        self._listener = Listener(listener, files, lambda: Http1(self), limits, self.counters)

    async def run(self) -> None:
        """Serve until cancelled, or until `stop` has been called."""
        self._listener.open(self.loop)
        while not self.is_draining:
            await asyncio.sleep(_TICK_S)
            now_s = self.loop.time()
            self._listener.tick()
            for connection in list(self._connections):
                connection.tick(now_s, idle_timeout_s=IDLE_TIMEOUT_S)

    async def stop(self, grace_s: float) -> None:
        """Take no new connection, answer what has been asked, close."""
        self.is_draining = True
        await self._listener.close()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)
        for connection in list(self._connections):
            connection.abort()

    def opened(self, connection: Http1) -> None:
        self._connections.add(connection)

    def lost(self, connection: Http1) -> None:
        self._connections.discard(connection)
        self.counters.connections -= 1
        if self.is_draining and not self._connections:
            self._empty.set()
