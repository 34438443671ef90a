"""The gateway's composition root: builds the parts, serves, drains.

Runs in: the gateway process, started by the supervisor, which also tells it when to begin. Never:
forks; the pool's zygote does.
"""

import asyncio
import gc
import signal
import socket
import sys
import time

import structlog
import uvloop
from grpc_health.v1 import health

from edged import inheritance as inherit
from edged import logs
from edged.datasets.commits import Commits
from edged.datasets.layout import Layout, LogKind
from edged.datasets.unlogged import UnloggedNotes, run_id
from edged.datasets.writer import LogWriter
from edged.deployment import Deployment
from edged.deployment.keeping import Storage
from edged.errors import ConfigInvalid
from edged.gateway.access import Access
from edged.gateway.catalog import Catalog
from edged.gateway.control import Control
from edged.gateway.counters import Counters
from edged.gateway.doors import Doors, Sockets
from edged.gateway.executor import Executor
from edged.gateway.health import Health
from edged.gateway.hot import HotMethods
from edged.gateway.http import HttpDoor
from edged.gateway.outcomes import OutcomeLog
from edged.gateway.service import EdgeService
from edged.gateway.unlogged import UnloggedTeller
from edged.inheritance import Inheritance
from edged.pool.errors import IsolationTooWeak
from edged.pool.pool import Pool

log = structlog.get_logger()
KINDS: tuple[LogKind, ...] = ("executions", "outcomes")


class Gateway:
    """All parts of the hot path, wired to each other."""

    def __init__(self, inheritance: Inheritance, deployment: Deployment) -> None:
        self._inheritance = inheritance
        self._drain_timeout_s = deployment.runtime.drain_timeout_s
        storage = deployment.storage
        layout = storage.layout
        self.pool = Pool(deployment.pool)
        self._catalog = Catalog(
            layout, self.pool, deployment.runtime.default_task, deployment.placements
        )
        self._writers = [_writer(layout, kind, storage) for kind in KINDS]
        self._logs = [_commits(writer, storage) for writer in self._writers]
        executions, outcomes = self._logs
        serve_unlogged = storage.on_full == "serve"
        checks = health.aio.HealthServicer()
        self.health = Health(
            self._catalog, self._writers, checks, self.pool, serve_unlogged=serve_unlogged
        )
        counters = Counters()
        self._unlogged = UnloggedTeller(counters, UnloggedNotes(layout), run_id())
        self._executor = Executor(
            self._catalog,
            self.pool,
            executions,
            counters,
            time.time,
            asyncio.get_running_loop(),
            serve_unlogged=serve_unlogged,
        )
        callers = deployment.access.callers_file
        self._access = Access(callers) if callers else None
        outcome_log = OutcomeLog(self._catalog, outcomes, time.time)
        service = EdgeService(self._executor, outcome_log, counters, self._access)
        http = HttpDoor(
            self._executor,
            self.health,
            counters,
            self.pool,
            self._access,
            lambda: self._doors.counters,
        )
        hot = HotMethods(self._executor, counters)
        sockets = _sockets(inheritance)
        self._doors = Doors(deployment, sockets, self._access, service, hot, http, checks)
        self.control = Control(layout, self._catalog, self.health, _socket(inheritance, "control"))

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain."""
        async with asyncio.TaskGroup() as tasks:
            parts = [
                tasks.create_task(part(), name=name)
                for name, part in (
                    ("pool", self.pool.run),
                    ("catalog", self._catalog.run),
                    ("health", self.health.run),
                    ("unlogged", self._unlogged.run),
                )
            ]
            parts += [tasks.create_task(log.run(), name="commits") for log in self._logs]
            await self.pool.wait_ready()
            await self.control.apply()
            parts.append(tasks.create_task(self.control.run(), name="control"))
            parts.append(tasks.create_task(self._doors.run(), name="doors"))
            if self._access is not None:
                parts.append(tasks.create_task(self._access.run(), name="access"))
            await self._doors.open()
            # What a start leaves stays: looking through it again cost calls 10 ms now and then.
            gc.collect()
            gc.freeze()
            inherit.say_ready(self._inheritance)
            await stop.wait()
            await self._drain()
            for part in parts:
                part.cancel()
        self._unlogged.tell()
        for writer in self._writers:
            writer.close()

    async def _drain(self) -> None:
        """Say NOT_SERVING, finish what runs, close the doors."""
        await self.health.drain()
        await self._doors.close(self._drain_timeout_s)


def _writer(layout: Layout, kind: LogKind, storage: Storage) -> LogWriter:
    return LogWriter(layout, kind, time.time, is_synced=storage.fsync != "never")


def _commits(writer: LogWriter, storage: Storage) -> Commits:
    return Commits(writer, storage.fsync, storage.fsync_interval_ms / 1000)


def _sockets(inheritance: Inheritance) -> Sockets:
    return Sockets(
        grpc=lambda: _socket(inheritance, "grpc"),
        http=_socket(inheritance, "http"),
        grpc_address=inheritance.grpc_address,
    )


def _socket(inheritance: Inheritance, name: str) -> socket.socket:
    return socket.socket(fileno=inheritance.descriptors[name])


async def _main(inheritance: Inheritance) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor's
    try:
        await Gateway(inheritance, inheritance.deployment).serve(stop)
    except* (ConfigInvalid, IsolationTooWeak) as group:
        for error in group.exceptions:
            log.error("gateway_unusable", reason=str(error))
        raise SystemExit(inherit.EXIT_UNUSABLE) from None


def main() -> None:
    """Run the gateway with what the supervisor gives, when it says so."""
    inheritance = inherit.receive(*sys.argv[1:])
    logs.configure("gateway")
    uvloop.run(_main(inheritance))


if __name__ == "__main__":
    main()
