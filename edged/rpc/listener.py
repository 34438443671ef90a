"""Listening sockets: bound here or inherited, accepted from by hand.

Runs in: the process of the server, on its loop. Never: closes a socket that it did not bind.

asyncio's own servers take every connection and stop by closing the socket. Here a connection above
the limit is turned away before it costs a handshake, each TLS connection begins with the
certificate of that moment, and a server that stops leaves new ones waiting for its successor.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from edged.files import is_deserted
from edged.rpc.limits import Counters, Limits
from edged.rpc.tls import TlsFiles

log = structlog.get_logger(__name__)

_BACKLOG: Final = 1024
_ACCEPTS_A_TURN: Final = 64
_REASONS: Final = 32  # remembered; errors of TLS are few
_PAUSE_S: Final = 0.1  # when this process has no descriptor left
_UNIX: Final = "unix:"
_OUT_OF: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def bind(address: str, *, shares_port: bool) -> socket.socket:
    """Return a listening socket. address: `host:port`, `[host]:port` or `unix:path`.

    Raises OSError, ValueError.
    """
    is_unix = address.startswith(_UNIX)
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(socket.AF_UNIX if is_unix else family)
    try:
        if is_unix:
            _bind_path(listener, Path(address.removeprefix(_UNIX).removeprefix("//")))
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares_port)
            listener.bind((host, int(port)))
        listener.listen(_BACKLOG)
    except (OSError, ValueError):
        listener.close()
        raise
    return listener


def _bind_path(listener: socket.socket, path: Path) -> None:
    """Raises OSError, also where a living process listens already."""
    if is_deserted(path):
        path.unlink()
    listener.bind(str(path))


class Listener:
    """Takes connections from one socket while it is open, and gives each a protocol."""

    def __init__(
        self,
        listener: socket.socket,
        tls: TlsFiles | None,
        make: Callable[[], asyncio.Protocol],
        limits: Limits,
        counters: Counters,
    ) -> None:
        """make: the protocol of one connection, which counts its own end in `counters`."""
        self._socket = listener
        self._tls = tls
        self._make = make
        self._limits = limits
        self._counters = counters
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._said_s: dict[str, float] = {}  # reason → when it was logged last
        listener.settimeout(0)

    @property
    def port(self) -> int:
        """0 for a Unix socket."""
        name = self._socket.getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.add_reader(self._socket, self._accept)

    def tick(self) -> None:
        """Look whether the certificate was renewed."""
        if self._tls is not None:
            self._tls.refresh()

    async def close(self) -> None:
        """Take no more. Those who come wait in the socket for as long as anyone else holds it."""
        self._pause()
        self._loop = None
        self._socket.close()
        handshakes = list(self._handshakes)
        if self._tls is not None:  # without, they end by themselves, and may bring calls
            for handshake in handshakes:
                handshake.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF:
                    raise
                self._rest(error)
                return
            self._begin(connection)

    def _rest(self, error: OSError) -> None:
        """Go on in a moment: this process has no descriptor left."""
        log.warning("accept_paused", reason=error.strerror)
        self._pause()
        if self._loop is not None:
            self._loop.call_later(_PAUSE_S, self._go_on)

    def _pause(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket)

    def _go_on(self) -> None:
        if self._loop is not None:
            self._loop.add_reader(self._socket, self._accept)

    def _begin(self, connection: socket.socket) -> None:
        """Start the handshake, or turn the connection away."""
        if self._counters.connections >= self._limits.max_connections or self._loop is None:
            self._counters.connections_refused += 1
            connection.close()
            return
        self._counters.connections += 1
        connection.settimeout(0)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handshake = self._loop.create_task(self._shake_hands(self._loop, connection))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    async def _shake_hands(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket
    ) -> None:
        words: dict[str, Any] = {}
        if self._tls is not None:
            timeout_s = self._limits.handshake_timeout_s
            words = {"ssl": self._tls.context, "ssl_handshake_timeout": timeout_s}
        try:
            await loop.connect_accepted_socket(self._make, connection, **words)
        except OSError as error:  # ssl.SSLError and TimeoutError too
            self._handshake_failed(error)
        except BaseException:
            self._counters.connections -= 1
            connection.close()
            raise

    def _handshake_failed(self, error: OSError) -> None:
        self._counters.connections -= 1
        if isinstance(error, TimeoutError | ConnectionAbortedError):
            self._counters.handshakes_stalled += 1
        else:
            self._counters.handshakes_failed += 1
        self._say(str(error) or type(error).__name__)

    def _say(self, reason: str) -> None:
        """Log a failure, each reason once a second: a hostile client must not fill the disk."""
        now_s = time.monotonic()
        if len(self._said_s) > _REASONS:
            self._said_s.clear()
        if now_s - self._said_s.get(reason, -1.0) >= 1.0:
            self._said_s[reason] = now_s
            log.info("handshake_failed", reason=reason)
