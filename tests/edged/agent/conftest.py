"""A data_dir and the parts that most of the agent's tests need."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.recording import Recorder
from edged.agent.releasing import Releaser
from edged.datasets.layout import Layout
from edged.decisions.sampling import Sampler
from edged.deployment.telling import Privacy
from tests.fakes.clock import FakeClock
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
