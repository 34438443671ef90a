"""The control plane's server: REST, the edges' link, and the jobs process beside it.

Runs in: the server, this is its composition root. Talks to: people and CI (REST), edges (gRPC).
Never: runs program text outside a jailed worker, or trains.
"""

import asyncio
import fcntl
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvloop

from controlplane.access.access import Access
from controlplane.access.keys import Keys
from controlplane.access.revocations import Revocations
from controlplane.api.parts import ApiParts, LoopParts
from controlplane.api.rest import RestServer
from controlplane.artifacts.gate import Gate
from controlplane.artifacts.generations import Generations
from controlplane.artifacts.uploads import Uploads
from controlplane.artifacts.versions import Versions
from controlplane.clock import utc_now
from controlplane.config import DoorSettings, Settings
from controlplane.errors import FolderInUse
from controlplane.fleet.connections import Connections
from controlplane.fleet.edges import Edges
from controlplane.fleet.targets import Targets
from controlplane.hub.hub import Hub
from controlplane.improvement.improvements import Improvements
from controlplane.improvement.sight import Sight
from controlplane.improvement.tickets import Tickets
from controlplane.jobs_process import JobsProcess
from controlplane.link.listener import serving
from controlplane.link.service import LinkService
from controlplane.link.session import LinkParts
from controlplane.reviews.labels import Labels
from controlplane.reviews.questions import Questions
from controlplane.reviews.reviews import Reviews
from controlplane.rollouts.rollouts import Rollouts
from controlplane.storage.blobs import Blobs
from controlplane.storage.database import Database
from controlplane.storage.keys import KeyFolder
from controlplane.storage.outbox import OutboxFollower, Wakeups
from controlplane.storage.upgrade import upgrade
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.examples import Examples
from controlplane.telemetry.erasing import Erasing
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.metrics import Metrics
from controlplane.telemetry.report import Reports
from controlplane.uploading import Uploading
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from edged.rpc.listener import bind

log = structlog.get_logger()

DESCRIPTORS = 65_536


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises LoopaiError or OSError when it cannot start."""
    _permit_descriptors()
    settings.storage.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _sole(settings.storage.data_dir):
        uvloop.run(_main(settings))  # its TLS needs a third of the memory of asyncio's


async def _main(settings: Settings) -> None:
    storage = settings.storage
    # Ctrl-C goes to every process of the terminal; who is started ignoring it, goes on ignoring it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool comes first: its zygote starts before this process has read a secret.
    async with Pool(_pool_settings()) as pool, Database(storage.database_url) as database:
        await upgrade(database)
        keys = KeyFolder(storage.data_dir / "keys")
        keys.prepare()
        access = Access(database, keys, utc_now)
        await access.ensure_first_key(settings.api_key)
        # Before this SIGTERM ends the process at once, which is right: nothing is under way.
        stopping = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopping.set)
        await Assembly(settings, database, pool, keys, access).serve(stopping)
    log.info("controlplane_stopped")


class Assembly:
    """The parts, made once and introduced to each other."""

    def __init__(
        self, settings: Settings, database: Database, pool: Pool, keys: KeyFolder, access: Access
    ) -> None:
        self._settings = settings
        self._access = access
        self._database = database
        self._wakeups = Wakeups()
        self._blobs = Blobs(settings.storage.data_dir / "blobs")
        self._signing_key = keys.signing_key()
        self._keys = Keys(database, keys, utc_now)
        self._edges = Edges(database, utc_now)
        self._connections = Connections(limit=settings.link.max_connections)
        self._gate = Gate(pool)
        self._hub = Hub(Metrics(Reports(database), utc_now).read, utc_now)

    async def serve(self, stopping: asyncio.Event) -> None:
        """Open the doors, keep the background running, close in reverse."""
        doors = self._settings.doors
        outbox = OutboxFollower(self._database, self._wakeups, utc_now, take=self._hub.take)
        jobs = JobsProcess(self._settings.jobs)
        revocations = Revocations(self._keys, self._wakeups, (self._connections, self._hub))
        with _listening(doors) as listener:
            rest = RestServer(self._rest(), listener, doors.tls, doors.stop_timeout_s)
            link = serving(self._link(), self._settings.link, doors.link)
            async with link as link_port, asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(part.run(), name=part.name)
                    for part in (outbox, jobs, self._hub, revocations)
                ]
                requests = tasks.create_task(rest.serve([]), name="rest")
                _announce(doors, listener.getsockname()[1], link_port)
                await stopping.wait()
                log.info("controlplane_stopping")
                self._wakeups.close()
                self._hub.close()
                rest.should_exit = True
                await requests
                for task in background:
                    task.cancel()

    def _rest(self) -> ApiParts:
        examples = Examples(self._database, utc_now)
        versions = Versions(self._database, self._blobs, self._signing_key, utc_now)
        return ApiParts(
            access=self._access,
            keys=self._keys,
            database=self._database,
            tasks=Tasks(self._database, utc_now),
            examples=examples,
            generations=Generations(self._database, utc_now),
            versions=versions,
            uploading=Uploading(examples, Uploads(self._gate), versions),
            gate=self._gate,
            edges=self._edges,
            connections=self._connections,
            reports=Reports(self._database),
            wakeups=self._wakeups,
            hub=self._hub,
            loop=self._loop_parts(),
        )

    def _loop_parts(self) -> LoopParts:
        rollout = self._settings.rollout
        return LoopParts(
            improvements=Improvements(self._database, utc_now),
            sight=Sight(Labels(self._database), self._settings.improvement),
            tickets=Tickets(self._database, utc_now),
            reviews=Reviews(self._database, utc_now),
            questions=Questions(self._database, utc_now),
            rollouts=Rollouts(self._database, utc_now, live_within_s=rollout.live_within_s),
            plan=rollout.plan(),
        )

    def _link(self) -> LinkService:
        parts = LinkParts(
            edges=self._edges,
            targets=Targets(self._database, utc_now),
            ingest=Ingest(self._database, utc_now),
            erasing=Erasing(self._database, utc_now),
            questions=Questions(self._database, utc_now),
            blobs=self._blobs,
            wakeups=self._wakeups,
            signing_key=self._signing_key,
            settings=self._settings.link,
            clock=utc_now,
        )
        return LinkService(parts, self._access, self._connections)


def _permit_descriptors() -> None:
    """Every edge holds one; many systems start a process with room for 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if most == resource.RLIM_INFINITY else min(DESCRIPTORS, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _pool_settings() -> PoolSettings:
    """Uploads are rare and short: one worker a program, none kept waiting."""
    return PoolSettings(workers_per_version=1, max_workers=4)


def _announce(doors: DoorSettings, port: int, link_port: int) -> None:
    if doors.is_insecure:
        log.warning(
            "insecure_doors",
            host=doors.host,
            advice="keys and customer data travel in clear: give --tls-certificate and --tls-key",
        )
    log.info(
        "controlplane_ready",
        http=f"{'https' if doors.tls else 'http'}://{doors.host}:{port}",
        link=f"{doors.host}:{link_port}",
    )


@contextmanager
def _listening(doors: DoorSettings) -> Iterator[socket.socket]:
    """Bind REST's socket. Raises OSError naming the address."""
    host = f"[{doors.host}]" if ":" in doors.host else doors.host
    try:
        listener = bind(f"{host}:{doors.port}", shares_port=False)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{doors.port}: {error}") from error
    with listener:
        yield listener


@contextmanager
def _sole(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it however this process ends."""
    with (folder / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(folder=folder) from error
        yield
