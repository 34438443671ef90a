"""Routes that are applied while their versions serve, or cannot be had for a moment."""

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest

from edged.agent.store import ArtifactStore
from edged.artifacts.archive import SelfTest, open_folder, pack
from edged.decisions.routing import Arm, Route, Routes
from edged.gateway import preparing
from edged.gateway.catalog import Catalog
from edged.pool.pool import Pool, ProgramSource
from edged.pool.settings import PoolSettings
from edged.pool.values import Placement

SPIN = orjson.dumps({"text": "spin"})
SPINS = (
    'def run(input_data):\n    while input_data["text"] == "spin":\n        pass\n'
    '    return input_data["text"].upper()\n'
)
EXAMPLES = (SelfTest(input={"text": "hi"}, output="HI"),)
PLACEMENTS = {"shout": Placement(calls_limit=1)}


@pytest.fixture
def publish(layout, make_artifact):
    """Return a function that puts a version on disk and gives its arm."""

    def publish(program: str, version: int, weight: float = 1.0) -> Arm:
        artifact = make_artifact(program, version=version, self_tests=EXAMPLES)
        stored = ArtifactStore(layout).add(pack(artifact))
        return Arm(name=f"v{version}", version=version, digest=stored.digest, weight=weight)

    return publish


@pytest.fixture
def start(layout):
    """Return a context with a catalog whose only task is run one call at a time."""

    @asynccontextmanager
    async def start(**settings):
        async with Pool(PoolSettings(**settings)) as pool:
            yield pool, Catalog(layout, pool, None, PLACEMENTS)

    return start


@asynccontextmanager
async def busy(pool, digest: str):
    """Fill the version's queue, which takes one call."""
    async with asyncio.TaskGroup() as tasks:
        spinning = tasks.create_task(pool.call(digest, SPIN))
        await asyncio.sleep(0)
        yield
        spinning.cancel()


def route(*arms: Arm) -> Routes:
    return Routes(tasks={"shout": Route(arms=arms)})


async def test_a_busy_version_that_serves_already_holds_up_no_candidate(start, publish):
    stable, candidate = publish(SPINS, 1, 0.9), publish(SPINS + "\n# as v2", 2, 0.1)
    async with start(time_limit_ms=20_000) as (pool, catalog):
        await catalog.apply(route(publish(SPINS, 1)))
        async with busy(pool, stable.digest):
            (report,) = await catalog.apply(route(stable, candidate))

    assert (report.state, report.reason) == ("APPLIED", "")


@pytest.fixture
def load(layout):
    """Return a function that has a pool serve a version that the catalog has not tried out."""

    async def load(pool, arm) -> None:
        program = open_folder(layout.version("shout", arm.version)).program
        await pool.load(arm.digest, ProgramSource(source=program, placement=PLACEMENTS["shout"]))

    return load


async def test_a_self_test_that_finds_the_queue_full_waits(start, publish, load):
    arm = publish(SPINS, 1)
    async with start(time_limit_ms=300) as (pool, catalog):
        await load(pool, arm)
        async with busy(pool, arm.digest):
            (report,) = await catalog.apply(route(arm))

    assert (report.state, report.reason) == ("APPLIED", "")


async def test_a_queue_that_stays_full_fails_the_route_in_the_end(
    start, publish, load, monkeypatch
):
    monkeypatch.setattr(preparing, "PATIENCE_S", 0.1)
    arm = publish(SPINS, 1)
    async with start(time_limit_ms=20_000) as (pool, catalog):
        await load(pool, arm)
        async with busy(pool, arm.digest):
            (report,) = await catalog.apply(route(arm))

    assert report.state == "FAILED"
    assert report.reason.startswith("pool_full: ")


async def test_a_self_test_that_nobody_runs_ends(start, publish, load, monkeypatch):
    monkeypatch.setattr(preparing, "PATIENCE_S", 0.1)
    monkeypatch.setitem(PLACEMENTS, "shout", Placement(calls_limit=2))
    arm = publish(SPINS, 1)
    async with start(time_limit_ms=20_000, workers_per_version=1) as (pool, catalog):
        await load(pool, arm)
        async with busy(pool, arm.digest):
            (report,) = await catalog.apply(route(arm))

    assert report.state == "FAILED"
    assert report.reason.startswith("load_failed: ")


async def test_a_version_quarantined_during_an_apply_is_not_served(
    start, publish, layout, monkeypatch
):
    stable, candidate = publish(SPINS, 1, 0.5), publish(SPINS + "\n# as v2", 2, 0.5)
    async with start() as (pool, catalog):
        load = pool.load

        async def quarantine_the_other_one(key, program):
            await load(key, program)
            if key == candidate.digest:
                pool.on_quarantine(stable.digest, "it crashed")

        monkeypatch.setattr(pool, "load", quarantine_the_other_one)
        (report,) = await catalog.apply(route(stable, candidate))

        (left,) = catalog.find("shout").route.arms
        assert (left.version, left.weight) == (2, 1.0)
        assert (report.state, report.serving_version) == ("FAILED", 2)
        assert "version 1 is quarantined: it crashed" in catalog.problems["shout"]
