"""Frames over a worker's socket, without ever waiting for it.

Runs in: the process that owns the pool. Never: looks inside a frame.

What cannot be sent at once is kept; it is bounded by what a worker is allowed to hold.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

from edged.sandbox.frames import RECEIVE_BYTES, Frame, FrameMalformed, Inbox


class Channel:
    """One stream socket on the event loop."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        on_frames: Callable[[Sequence[Frame]], None],
        on_malformed: Callable[[], None],
    ) -> None:
        """connection: not blocking; this object owns it.

        on_frames raises FrameMalformed when a frame says what it must not. After on_malformed
        nothing more is read.
        """
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._on_frames = on_frames
        self._on_malformed = on_malformed
        self._inbox = Inbox()
        self._unsent = b""
        self._is_closed = False
        self._loop.add_reader(connection, self._read_once)

    def send(self, frames: bytes) -> None:
        if self._unsent:
            self._unsent += frames
            return
        self._unsent = frames
        self._send_rest()

    def finish(self) -> None:
        """Say that nothing more will come."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def drain(self) -> None:
        """Read all that has arrived."""
        while not self._is_closed and self._read_once():
            pass

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()

    def _send_rest(self) -> None:
        try:
            sent = self._connection.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            # It is dead or dying; its exit will be reported and what it held settled.
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._connection, self._on_writable)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._connection)
        self._send_rest()

    def _read_once(self) -> bool:
        """Tell whether there may be more."""
        try:
            received = self._connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            received = b""
        if not received:
            # Why it ended follows by way of the zygote.
            self._loop.remove_reader(self._connection)
            return False
        try:
            self._on_frames(self._inbox.take(received))
        except FrameMalformed:
            self._on_malformed()
            return False
        return True
