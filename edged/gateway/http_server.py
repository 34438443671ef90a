"""The HTTP/1.1 server: a listener, its connections, and how they end.

Runs in: the gateway, on its loop. Never: binds; the socket is given.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from socket import socket
from typing import Final

import structlog

from edged.gateway.http1 import Http1
from edged.gateway.http_answer import Door
from edged.rpc.limits import Counters, Limits
from edged.rpc.listener import Listener
from edged.rpc.tls import Tls, TlsFiles

log = structlog.get_logger()

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
        self.held_bytes = 0  # of requests that are incomplete or wait for their turn
        self._failing: set[str] = set()  # what failed in the last tick, and has been logged
        files = TlsFiles(tls, ("http/1.1",)) if tls else None
        self._listener = Listener(listener, files, lambda: Http1(self), limits, self.counters)

    async def run(self) -> None:
        """Serve until cancelled, or until `stop` has been called."""
        self._listener.open(self.loop)
        while not self.is_draining:
            await asyncio.sleep(_TICK_S)
            self._tick()

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

    def hold(self, count: int) -> bool:
        self.held_bytes += count
        if count <= 0 or self.held_bytes <= self.limits.max_received_bytes:
            return True
        self.counters.received_bytes_refused += 1
        return False

    def _tick(self) -> None:
        """Look after everything. What fails holds up nothing else, and is logged when it begins."""
        now_s = self.loop.time()
        acts: list[Callable[[], None]] = [
            self._listener.tick,
            *(
                partial(each.tick, now_s, idle_timeout_s=IDLE_TIMEOUT_S)
                for each in self._connections
            ),
            self._shed,
        ]
        self._failing = {reason for reason in map(self._attempt, acts) if reason is not None}

    def _shed(self) -> None:
        """Close the connection whose client leaves most unread, when all leave too much."""
        unsent = {connection: connection.unsent_bytes for connection in self._connections}
        if sum(unsent.values()) > self.limits.max_unsent_total_bytes:
            self.counters.stalled_readers += 1
            max(unsent, key=unsent.__getitem__).abort()

    def _attempt(self, act: Callable[[], None]) -> str | None:
        """Return why it failed, if it did."""
        try:
            act()
        except Exception as error:
            reason = repr(error)
            if reason not in self._failing:
                self._failing.add(reason)
                log.exception("http_tick_failed")
            return reason
        return None
