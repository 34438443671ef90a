"""The agent's nudge: "routes.json changed" in, what is really served out.

A message is a hint, the file is the state. One JSON line each way over a Unix socket that the
supervisor bound. A nudge that reached a gateway about to leave is made up for by a look at the file
once a second. Runs in: the gateway. Never: takes a route from the message itself.
"""

import asyncio
import socket
from dataclasses import asdict

import orjson
import structlog

from edged.datasets.layout import Layout
from edged.decisions.routing import Routes
from edged.gateway.catalog import Applied, Catalog
from edged.gateway.health import Health

log = structlog.get_logger()
LOOK_S = 1.0


class Control:
    """Applies routes.json at start and whenever the agent says so, one at a time."""

    def __init__(
        self, layout: Layout, catalog: Catalog, health: Health, listener: socket.socket
    ) -> None:
        self._layout = layout
        self._catalog = catalog
        self._health = health
        self._listener = listener
        self._applying = asyncio.Lock()
        self._applied_stamp = (0, 0)  # of the file, when it was read last

    async def run(self) -> None:
        server = await asyncio.start_unix_server(self._serve, sock=self._listener)
        async with server:
            while True:
                await asyncio.sleep(LOOK_S)
                if self._stamp() != self._applied_stamp:
                    await self.apply()

    async def apply(self) -> list[Applied]:
        """Bring the catalog to what routes.json says."""
        async with self._applying:
            self._applied_stamp = self._stamp()
            try:
                routes = Routes.parse(self._layout.routes.read_bytes())
            except FileNotFoundError:
                return []
            except ValueError as error:
                log.error("routes_unreadable", path=str(self._layout.routes), reason=str(error))
                return []
            reports = await self._catalog.apply(routes)
            await self._health.refresh()
            return reports

    def _stamp(self) -> tuple[int, int]:
        try:
            status = self._layout.routes.stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_ino

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readline():
                reports = await self.apply()
                answer = {
                    "sequence": self._catalog.sequence,
                    "tasks": [asdict(report) for report in reports],
                }
                writer.write(orjson.dumps(answer) + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # the agent was killed; it asks again when it is back
        finally:
            writer.close()
