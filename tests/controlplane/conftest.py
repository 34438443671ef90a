"""Fixtures of the control plane's tests: a database, a clock, a running control plane."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from controlplane.storage.blobs import Blobs
from controlplane.storage.database import Database
from controlplane.storage.upgrade import upgrade
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.specification import Specification, Task
from tests.controlplane.processes import ControlPlane, control_plane


class FakeClock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}") as opened:
        await upgrade(opened)
        yield opened


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
async def task(database: Database, clock: FakeClock) -> Task:
    return await Tasks(database, clock).create("default", "spam", Specification(), [])


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all tests that do not stop it; each uses tasks of its own."""
    with control_plane(tmp_path_factory.mktemp("plane") / "data") as running:
        yield running


@pytest.fixture
def rest(plane: ControlPlane) -> Iterator[httpx2.Client]:
    with plane.client() as client:
        yield client
