"""A version that keeps ending its workers: what serves instead, and who is told."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import pytest

from edged.agent.applier import Applier, Target
from edged.agent.quarantines import Quarantines
from edged.agent.store import ArtifactStore
from edged.artifacts.archive import pack
from edged.artifacts.quarantine import QuarantineFile
from edged.decisions.routing import Arm, Route, Routes, without
from edged.gateway.catalog import Catalog
from edged.gateway.control import Control
from edged.pool.pool import Outcome, Pool, Quarantined
from edged.pool.settings import PoolSettings
from edged.pool.zygote import Image

GOOD = 'def run(input_data):\n    return input_data["text"].upper()\n'
CRASHES = (
    "import os\ndef run(input_data):\n"
    '    return os.abort() if input_data["text"] == "crash" else "fine"\n'
)
CRASH = b'{"text": "crash"}'
SETTINGS = PoolSettings(quarantine_crashes=2)


@pytest.fixture
def publish(layout, make_artifact):
    """Return a function that puts a version on disk and gives its arm."""

    def publish(program: str, version: int, name: str = "stable", weight: float = 1.0) -> Arm:
        stored = ArtifactStore(layout).add(pack(make_artifact(program, version=version)))
        return Arm(name=name, version=version, digest=stored.digest, weight=weight)

    return publish


@pytest.fixture
def start(layout):
    """Return a context with a running catalog; its programs are plain Python, so they can crash."""

    @asynccontextmanager
    async def start():
        async with Pool(SETTINGS, Image(without=frozenset({"language"}))) as pool:
            catalog = Catalog(layout, pool, None)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(catalog.run())
                yield pool, catalog
                running.cancel()

    return start


async def crash(pool, digest: str) -> None:
    for _ in range(SETTINGS.quarantine_crashes):
        assert (await pool.call(digest, CRASH)).outcome is Outcome.ERROR


def versions(catalog) -> list[int]:
    return [arm.version for arm in catalog.find("shout").route.arms]


async def test_a_quarantined_candidate_leaves_all_traffic_to_the_stable_version(start, publish):
    stable = publish(GOOD, 1, weight=0.9)
    candidate = publish(CRASHES, 2, "candidate", 0.1)
    async with start() as (pool, catalog):
        await catalog.apply(Routes(tasks={"shout": Route(arms=(stable, candidate))}))

        await crash(pool, candidate.digest)

        (left,) = catalog.find("shout").route.arms
        assert (left.version, left.weight) == (1, 1.0)
        assert "version 2 is quarantined: it crashed" in catalog.problems["shout"]
        assert catalog.is_served("shout")


async def test_a_quarantined_stable_version_gives_way_to_the_one_that_last_worked(start, publish):
    old, new = publish(GOOD, 1), publish(CRASHES, 2)
    async with start() as (pool, catalog):
        await catalog.apply(Routes(tasks={"shout": Route(arms=(new,), fallback=(old,))}))

        await crash(pool, new.digest)
        while versions(catalog) != [1]:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)

        result = await pool.call(old.digest, b'{"text": "a"}')
        assert result.output_json == b'"A"'
        assert "version 2 is quarantined" in catalog.problems["shout"]


async def test_without_a_fallback_the_task_is_not_served_and_says_why(start, publish):
    only = publish(CRASHES, 1)
    async with start() as (pool, catalog):
        await catalog.apply(Routes(tasks={"shout": Route(arms=(only,))}))

        await crash(pool, only.digest)

        assert not catalog.is_served("shout")
        with pytest.raises(Quarantined, match="crashed its process 2 times"):
            pool.submit(only.digest, CRASH, print)


async def test_a_quarantine_outlives_the_gateway(start, publish):
    old, new = publish(GOOD, 1), publish(CRASHES, 2)
    routes = Routes(tasks={"shout": Route(arms=(new,), fallback=(old,))})
    async with start() as (pool, catalog):
        await catalog.apply(routes)
        await crash(pool, new.digest)

    async with start() as (_, catalog):
        (report,) = await catalog.apply(routes)

        assert versions(catalog) == [1]
        assert (report.state, report.serving_version, report.target_version) == ("FAILED", 1, 2)
        assert report.reason.startswith("version_quarantined: version 2 is quarantined: it crashed")


class NoRollouts:
    """Remembers what it was told to refuse."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}

    def refuse(self, digest: str, reason: str) -> None:
        self.refused[digest] = reason


class Unpublished:
    """Health that nobody watches."""

    async def refresh(self) -> None:
        pass


async def test_the_agent_reports_that_the_version_serves_no_more(start, publish, layout, tmp_path):
    old, new = publish(GOOD, 1), publish(CRASHES, 2)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "c.sock"))
    async with start() as (pool, catalog), asyncio.TaskGroup() as tasks:
        control = Control(layout, catalog, Unpublished(), listener)
        serving = tasks.create_task(control.run())
        applier = Applier(layout, ArtifactStore(layout), tmp_path / "c.sock")
        rollouts = NoRollouts()
        quarantines = Quarantines(layout, applier, rollouts)
        await applier.apply("home", [Target(task="shout", arms=(old,))], 1)
        await applier.apply("home", [Target(task="shout", arms=(new,))], 2)
        assert applier.reports["shout"].state == "APPLIED"

        await crash(pool, new.digest)
        await quarantines.look()

        report = applier.reports["shout"]
        assert (report.state, report.serving_version, report.target_version) == ("FAILED", 1, 2)
        assert "quarantined" in report.reason
        assert "crashed" in rollouts.refused[new.digest]
        serving.cancel()


def test_what_is_left_of_a_route_shares_its_traffic():
    arms = tuple(
        Arm(name=name, version=number, digest=f"sha256:{number}", weight=weight)
        for number, (name, weight) in enumerate([("stable", 0.5), ("candidate", 0.5)])
    )

    assert [(a.name, a.weight) for a in without(arms, {"sha256:0"})] == [("candidate", 1.0)]
    assert without(arms, {"sha256:0", "sha256:1"}) == ()
    assert without(arms, ()) == arms


def test_a_damaged_file_counts_as_empty(layout):
    layout.quarantine.write_text("[")

    assert QuarantineFile(layout.quarantine).read() == {}


def test_the_file_holds_reasons_by_digest(layout):
    QuarantineFile(layout.quarantine).add("sha256:1", "it crashed")
    QuarantineFile(layout.quarantine).add("sha256:2", "it forked")

    expected = {"sha256:1": "it crashed", "sha256:2": "it forked"}
    assert json.loads(layout.quarantine.read_text()) == expected
