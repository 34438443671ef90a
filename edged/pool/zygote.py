"""Start the zygote and talk to it.

Runs in: the process that owns the pool. Talks to: the zygote, over one packet socket. Never: forks.

The zygote dies with the thread that started it (PDEATHSIG): `start` belongs to the thread of the
event loop, which lives as long as the process.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import edged
from edged.sandbox.control import Message, Order, Setup, receive, send
from edged.sandbox.layers import NOTHING

_ROOT: Final = str(Path(edged.__file__).parent.parent)
_BOOTSTRAP: Final = (
    "import sys; sys.path.extend(sys.argv[2:]); "
    "from edged.sandbox.zygote import main; main(int(sys.argv[1]))"
)
_LAST_WORDS_BYTES: Final = 4096
_REAPING_S: Final = 0.5  # it needs a millisecond for each worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a zygote is made of. Only trials and tests make another than the default.

    path: where its imports are found, besides the interpreter's own. without: layers of the sandbox
    that are left out.
    """

    python: str = sys.executable
    path: tuple[str, ...] = (_ROOT,)
    without: frozenset[str] = NOTHING


OURS: Final = Image()


class Listener(Protocol):
    """Who wants to know what the zygote says. Called on the event loop."""

    def on_hello(self, text: bytes) -> None: ...

    def on_spawned(self, worker_id: int, pid: int, pidfd: int) -> None: ...

    def on_exited(self, worker_id: int, status: int) -> None: ...

    def on_zygote_lost(self) -> None: ...


class Zygote:
    """One zygote process, from start to death."""

    def __init__(self, image: Image, setup: Setup, listener: Listener) -> None:
        self._image = image
        self._setup = setup
        self._listener = listener
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Exec it; it says hello later. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fd = theirs.fileno()
            image = self._image
            options = ["-I", "-X", "utf8", "-c", _BOOTSTRAP]
            command = [image.python, *options, str(fd), *image.path]
            self._process = subprocess.Popen(
                command,
                env={},
                pass_fds=(fd,),
                close_fds=True,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        send(ours, Order.CONFIGURE, text=self._setup.pack())
        ours.settimeout(0)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._on_readable)

    def spawn(self, worker_id: int, channel: socket.socket, page_fd: int) -> None:
        """Ask for a worker that has these. The caller closes its own copies."""
        if self._control is not None:
            # Dead or swamped: the reader sees the former, and a worker that never starts is missed.
            with contextlib.suppress(OSError):
                send(self._control, Order.SPAWN, worker_id, fds=(channel.fileno(), page_fd))

    def stop(self) -> str:
        """Have it end its workers and itself; return what it wrote to stderr."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        process, self._process = self._process, None
        if process is None or process.stderr is None:
            return ""
        try:
            process.wait(_REAPING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with process.stderr as stderr:
            os.set_blocking(stderr.fileno(), False)
            return (stderr.read(_LAST_WORDS_BYTES) or b"").decode(errors="replace")

    def _on_readable(self) -> None:
        while self._control is not None:
            try:
                message = receive(self._control)
            except BlockingIOError:
                return
            except OSError:
                message = None
            if message is None:
                self._listener.on_zygote_lost()
                return
            self._tell(message)

    def _tell(self, message: Message) -> None:
        match message.order:
            case Order.HELLO:
                self._listener.on_hello(message.text)
            case Order.SPAWNED:
                self._listener.on_spawned(message.worker_id, message.value, message.fds[0])
            case Order.EXITED:
                self._listener.on_exited(message.worker_id, message.value)
            case _:
                self._listener.on_zygote_lost()
