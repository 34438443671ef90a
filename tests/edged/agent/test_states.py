"""A state from home while rollouts go on; the gateway and home's end of the link are stand-ins."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent.decisions_log import DecisionLog
from edged.agent.download import Downloads
from edged.agent.home_settings import HomeSettings
from edged.agent.identity import Identity
from edged.agent.rollouts import Rollouts
from edged.agent.shadow import Shadow
from edged.agent.states import States
from edged.agent.store import ArtifactStore
from edged.artifacts.archive import digest_of, pack
from edged.decisions.routing import Routes
from edged.deployment import Deployment
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from tests.fakes.home import DEPLOYMENT, FakeHome

WHISPER = 'def run(input_data):\n    return input_data["text"].lower()\n'
PLAN = wire.RolloutPlan(rollout_id="r1", stages=[wire.RolloutStage(weight=0.1)], is_automatic=True)


@pytest.fixture
def rollouts(layout, applier, clock):
    shadow = Shadow(layout, Pool(PoolSettings()), {})
    return Rollouts(layout, applier, shadow, DecisionLog(layout, clock), clock)


@pytest.fixture
async def home():
    return FakeHome()  # signs and holds artifacts; nothing connects


class Edge:
    """Receives states; what it asks for is sent when the test says so."""

    def __init__(self, home: FakeHome, states: States, downloads: Downloads) -> None:
        self._home, self._states, self._downloads = home, states, downloads
        self.asked: asyncio.Queue[wire.ArtifactRequest] = asyncio.Queue()
        self.reports: list[wire.StateReport] = []

    async def receive(self, state: wire.DesiredState) -> wire.StateReport:
        """Return the final report."""
        identity = Identity(deployment_id=DEPLOYMENT, signing_public_key=self._home.key.public.raw)
        envelope = self._home.key.sign_state(state.SerializeToString())
        await self._states.receive(wire.SignedState(envelope=envelope), identity, self._send)
        return self.reports[-1]

    def supply(self, request: wire.ArtifactRequest) -> None:
        data = self._home.archives[request.digest]
        chunk = wire.ArtifactChunk(digest=request.digest, data=data, is_last=True)
        self._downloads.receive(chunk)

    async def _send(self, message: wire.ConnectRequest) -> None:
        if message.WhichOneof("message") == "artifact_request":
            self.asked.put_nowait(message.artifact_request)
        else:
            self.reports.append(message.state_report)


@pytest.fixture
def edge(layout, applier, rollouts, releaser, home):
    downloads = Downloads(layout)
    settings = HomeSettings(layout, Deployment(), lambda _wanted: None)
    states = States(
        ArtifactStore(layout),
        applier,
        downloads,
        rollouts,
        releaser,
        settings,
        lambda: datetime.now(UTC),
    )
    return Edge(home, states, downloads)


@pytest.fixture
def on_trial(home, layout, make_artifact):
    """Return a task with a candidate at 10 %; both of its versions are on this edge's disk."""
    archives = [pack(make_artifact()), pack(make_artifact(WHISPER, version=2))]
    for archive in archives:
        ArtifactStore(layout).add(archive)
    stable, candidate = (home.task("shout", n, a) for n, a in enumerate(archives, start=1))
    stable.candidate.CopyFrom(candidate.stable)
    stable.plan.CopyFrom(PLAN)
    return stable


@asynccontextmanager
async def running(part):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(part)
        yield
        task.cancel()


def weights(layout) -> dict[int, float]:
    route = Routes.parse(layout.routes.read_bytes()).tasks["shout"]
    return {arm.version: arm.weight for arm in route.arms}


async def test_a_candidate_rolled_back_during_a_download_stays_rolled_back(
    edge, rollouts, home, layout, on_trial, make_artifact
):
    other = home.task("other", 1, pack(make_artifact(task="other")))
    await edge.receive(home.state(5, on_trial))
    before = weights(layout)
    async with running(rollouts.run()), asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        received = tasks.create_task(edge.receive(home.state(6, on_trial, other)))
        request = await edge.asked.get()

        rollouts.refuse(on_trial.candidate.digest, "it crashed")
        while weights(layout) != {1: 1.0}:  # noqa: ASYNC110 files announce nothing
            await asyncio.sleep(0.01)
        edge.supply(request)
        await received

    assert before == {1: 0.9, 2: 0.1}
    assert request.digest == digest_of(home.archives[other.stable.digest])
    assert weights(layout) == {1: 1.0}
    assert set(Routes.parse(layout.routes.read_bytes()).tasks) == {"shout", "other"}


async def test_of_a_disk_that_refuses_an_artifact_no_path_is_told(
    edge, home, layout, make_artifact
):
    (layout.state / "partial").write_text("in the way")

    report = await edge.receive(home.state(5, home.task("shout", 1, pack(make_artifact()))))

    assert [task.reason for task in report.tasks] == ["FileExistsError: File exists"]


async def test_a_rollback_that_a_kill_cut_short_is_carried_out_at_the_start(
    edge, rollouts, applier, home, layout, clock, on_trial
):
    await edge.receive(home.state(5, on_trial))
    begun = layout.routes.read_bytes()
    async with running(rollouts.run()), asyncio.timeout(10):
        rollouts.refuse(on_trial.candidate.digest, "it crashed")
        while weights(layout) != {1: 1.0}:  # noqa: ASYNC110 files announce nothing
            await asyncio.sleep(0.01)
    layout.routes.write_bytes(begun)  # as if it had not come to the routes

    shadow = Shadow(layout, Pool(PoolSettings()), {})
    restarted = Rollouts(layout, applier, shadow, DecisionLog(layout, clock), clock)
    async with running(restarted.run()), asyncio.timeout(10):
        while weights(layout) != {1: 1.0}:  # noqa: ASYNC110 files announce nothing
            await asyncio.sleep(0.01)
