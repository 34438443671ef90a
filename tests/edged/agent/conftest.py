"""A data_dir and the parts that most of the agent's tests need."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.agent.applier import Applier
from edged.agent.batches import BatchFolder
from edged.agent.decisions_log import DecisionLog
from edged.agent.download import Downloads
from edged.agent.erasures import ErasureFolder, Erasures, Request
from edged.agent.home_settings import HomeSettings
from edged.agent.identity import IdentityFile
from edged.agent.link import Link, LinkSettings
from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.recording import Recorder
from edged.agent.releasing import Releaser
from edged.agent.rollouts import Rollouts
from edged.agent.session import Parts
from edged.agent.shadow import Shadow
from edged.agent.states import States
from edged.agent.store import ArtifactStore
from edged.agent.telemetry import Batcher
from edged.datasets.archives import archive
from edged.datasets.layout import Layout
from edged.decisions.sampling import Sampler
from edged.deployment import Deployment
from edged.deployment.telling import Privacy, Telemetry
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from tests.edged.agent.erasing import DAY_S, MARKER, TODAY_S, execution, outcome, validation, write
from tests.fakes.clock import FakeClock
from tests.fakes.gateway import FakeGateway
from tests.fakes.home import FakeHome
from tests.fakes.http_oracle import HttpOracleServer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "data")
    layout.state.mkdir(parents=True)
    return layout


@pytest.fixture
def make_releaser(layout, clock):
    """Return a function that makes a releaser in a privacy mode."""

    def make(mode: Mode) -> Releaser:
        return Releaser(layout, PrivacyFilter(mode, b"k" * KEY_BYTES), AuditLog(layout, clock))

    return make


@pytest.fixture
def make_recorder(clock):
    """Return a function that makes a recorder; without settings it chooses hardly anything."""

    def make(*, audit_rate: float = 1e-9, **privacy: object) -> Recorder:
        return Recorder(Privacy(**privacy), Sampler(salt=b"s" * 32), audit_rate, (), clock)

    return make


@pytest.fixture
def recorder(make_recorder) -> Recorder:
    return make_recorder()


@pytest.fixture
def releaser(make_releaser) -> Releaser:
    return make_releaser(Mode.BALANCED)


@pytest.fixture
def oracle_server() -> Iterator[HttpOracleServer]:
    """A server in a thread of its own: starting an edge blocks this one."""
    server = HttpOracleServer(lambda _: "ham")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
async def gateway(layout, tmp_path):
    async with FakeGateway(layout, tmp_path / "g.sock") as gateway:
        yield gateway


@pytest.fixture
def applier(layout, gateway):
    return Applier(layout, ArtifactStore(layout), gateway.path)


@pytest.fixture
def filled(layout, make_releaser, recorder, clock):
    """A data_dir in which one subject is in every kind of file; another is in all of them too."""
    archived = write(
        layout, "executions", TODAY_S - DAY_S, execution(1, f"it is {MARKER}"), execution(2, "Bee")
    )
    archive(archived, None)
    write(layout, "executions", TODAY_S, execution(3, MARKER.upper()), execution(4, "Bee"))
    write(layout, "validations", TODAY_S, validation(3, MARKER.upper()), validation(4, "Bee"))
    write(layout, "outcomes", TODAY_S, outcome(3), outcome(4), outcome(2, {"name": MARKER}))
    torn = layout.log("spam", "executions") / "2025-11-24.jsonl.torn"
    torn.write_bytes(f'{{"execution_id":"x","input":"{MARKER}\n"a tail of Bee\n'.encode())
    folder = BatchFolder(layout)
    releaser = make_releaser("permissive")
    Batcher(layout, folder, Telemetry(), releaser, recorder, "log-1", clock, clock).flush()
    return layout


@pytest.fixture
def request_(filled) -> Request:
    """A request as the command leaves it, when it found nothing itself."""
    request = Request(
        erasure_id="e1",
        task="spam",
        matches=[MARKER],
        execution_ids=[],
        requested_at=time.time(),
    )
    ErasureFolder(filled).add(request)
    return request


@pytest.fixture
async def home():
    async with FakeHome() as home:
        yield home


@pytest.fixture
def parts(layout, gateway, releaser, recorder, clock):
    store = ArtifactStore(layout)
    applier = Applier(layout, store, gateway.path)
    downloads = Downloads(layout)
    batches = BatchFolder(layout)
    shadow = Shadow(layout, Pool(PoolSettings()), {})
    rollouts = Rollouts(layout, applier, shadow, DecisionLog(layout, clock), clock)
    settings = HomeSettings(layout, Deployment(), lambda _wanted: None)
    return Parts(
        states=States(
            store, applier, downloads, rollouts, releaser, settings, lambda: datetime.now(UTC)
        ),
        downloads=downloads,
        batches=batches,
        batcher=Batcher(layout, batches, Telemetry(), releaser, recorder, "log-1", clock, clock),
        releaser=releaser,
        erasures=Erasures(layout, batches, [], has_home=True),
        applier=applier,
        clock=clock,
    )


@pytest.fixture
def connected(home, layout, parts):
    """Return a context in which the link runs."""

    @asynccontextmanager
    async def connected():
        settings = LinkSettings(
            address=home.address,
            tls=None,
            api_key="made-up",
            name="test",
            tasks=(),
            log_id="log-1",
        )
        store = ArtifactStore(layout)
        link = Link(settings, IdentityFile(layout), store, parts, parts.clock)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(link.run())
            yield link
            running.cancel()
        async with asyncio.timeout(10):
            await home.is_alone.wait()

    return connected
