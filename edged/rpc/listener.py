"""Listening sockets: bound here or inherited, accepted from by hand.

Runs in: the process of the server, on its loop. Never: closes a socket that it did not bind.

asyncio's own servers take every connection and stop by closing the socket. Here a connection above
the limit is turned away before it costs a handshake, each TLS connection begins with the
certificate of that moment, and a server that stops leaves new ones waiting for its successor.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from edged.rpc.tls import TlsFiles

log = structlog.get_logger(__name__)

_BACKLOG: Final = 1024
_ACCEPTS_A_TURN: Final = 64
_PAUSE_S: Final = 0.1  # when this process has no descriptor left
_UNIX: Final = "unix:"
_OUT_OF: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def bind(address: str, *, shares_port: bool) -> socket.socket:
    """Return a listening socket. address: `host:port`, `[host]:port` or `unix:path`.

    Raises OSError, ValueError.
    """
    if address.startswith(_UNIX):
        path = Path(address.removeprefix(_UNIX).removeprefix("//"))
        listener = socket.socket(socket.AF_UNIX)
        if path.is_socket():
            path.unlink()  # its last owner is gone: binding would fail otherwise
        listener.bind(str(path))
    else:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, int(port)))
    listener.listen(_BACKLOG)
    return listener


class Listener:
    """Takes connections from one socket while it is open."""

    def __init__(
        self,
        listener: socket.socket,
        tls: TlsFiles | None,
        take: Callable[[socket.socket, TlsFiles | None], None],
    ) -> None:
        """take: is given each connection, and owns it."""
        self.tls = tls
        self._socket = listener
        self._take = take
        self._loop: asyncio.AbstractEventLoop | None = None
        listener.settimeout(0)

    @property
    def port(self) -> int:
        """0 for a Unix socket."""
        name = self._socket.getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Take no more. Those who come wait in the socket for as long as anyone else holds it."""
        self._pause()
        self._loop = None
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF or self._loop is None:
                    raise
                log.warning("accept_paused", reason=error.strerror)
                self._pause()
                self._loop.call_later(_PAUSE_S, self._go_on)
                return
            connection.settimeout(0)
            self._take(connection, self.tls)

    def _pause(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket)

    def _go_on(self) -> None:
        if self._loop is not None:
            self._loop.add_reader(self._socket, self._accept)
