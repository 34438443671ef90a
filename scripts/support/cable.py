"""A cable between an edge and its control plane that can be pulled.

Runs in: chaos and tests, in a thread of its own. Talks to: one address, on loopback. Never: looks
at what it carries; pulled, it drops what it had and refuses everything.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024


class Cable:
    """target: host:port. Whoever connects to `address` reaches it while the cable is in."""

    def __init__(self, target: str) -> None:
        self.address = ""
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._is_in = True
        self._connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._run()), name="cable"
        )

    def pull(self) -> None:
        self._loop.call_soon_threadsafe(self._pull)

    def plug(self) -> None:
        self._loop.call_soon_threadsafe(self._plug)

    def on_up(self, connection: int, content: bytes) -> None:
        """Called in the cable's thread with what is on its way to the target."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        self._is_ready.set()
        await self._over.wait()
        self._pull()
        server.close()

    def _plug(self) -> None:
        self._is_in = True

    def _pull(self) -> None:
        self._is_in = False
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_in:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        self._connections += 1
        see = partial(self.on_up, self._connections)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._carry(reader, far_writer, see))
            tasks.create_task(self._carry(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        see: Callable[[bytes], None] = lambda _content: None,
    ) -> None:
        try:
            while content := await reader.read(CHUNK):
                see(content)
                writer.write(content)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
