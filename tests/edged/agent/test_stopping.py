"""An agent that stops while home is there, in the test's own process."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent import main, telemetry
from edged.agent.batch_file import Checkpoint
from edged.agent.batches import BatchFolder
from edged.agent.main import Agent
from edged.datasets import follower
from edged.datasets.layout import Layout
from edged.datasets.records import Execution, render
from edged.datasets.writer import LogWriter
from edged.deployment import Deployment
from tests.fakes.home import FakeHome
from tests.fakes.validating import until

pytestmark = pytest.mark.processes
LINES = 400


@pytest.fixture
async def home():
    async with FakeHome() as home:
        yield home


@pytest.fixture
def make_agent(layout, tmp_path, home):
    """Return a function that makes an agent of this data_dir."""

    def make(**telemetry: object) -> Agent:
        deployment = Deployment.model_validate(
            {
                "storage": {"data_dir": str(layout.data_dir)},
                "cloud": {"link_url": f"http://{home.address}"},
                "telemetry": telemetry,
            }
        )
        return Agent(deployment, Path(tmp_path / "c.sock"))

    return make


def log_executions(layout: Layout, clock: Callable[[], float]) -> None:
    execution = Execution(
        execution_id="1",
        task="spam",
        version=1,
        arm="stable",
        input_json=b"1",
        status="success",
        latency_ms=2.0,
        confidence=None,
    )
    writer = LogWriter(layout, "executions", clock)
    writer.append("spam", [render(execution, "2026-01-01T00:00:00.000Z")] * LINES)
    writer.close()


def executions(batches: list[wire.TelemetryBatch]) -> int:
    return sum(arm.executions for batch in batches for arm in batch.arms)


def pending(layout: Layout) -> list[wire.TelemetryBatch]:
    folder = BatchFolder(layout)
    return [wire.TelemetryBatch.FromString(folder.read(number)) for number in folder.pending()]


async def test_an_agent_that_stops_while_it_catches_up_counts_every_execution_once(
    layout, clock, home, make_agent, monkeypatch
):
    monkeypatch.setattr(follower, "READ_BYTES", 500)  # a chunk is a line or two
    monkeypatch.setattr(telemetry, "REST_S", 0.0)
    monkeypatch.setattr(main, "LAST_SEND_S", 0.5)
    home.is_acknowledging = False
    agent, stop = make_agent(batch_size=100), asyncio.Event()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run(stop, asyncio.Event()))
        await until(lambda: agent._link.is_up)
        log_executions(layout, clock)
        await until(lambda: agent._batcher._batch.executions > 0)
        stop.set()

    assert executions(pending(layout)) == LINES


async def test_an_agent_whose_settings_changed_seals_and_sends_nothing(
    layout, clock, home, make_agent
):
    agent, stop, has_changed = make_agent(), asyncio.Event(), asyncio.Event()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run(stop, has_changed))
        await until(lambda: agent._link.is_up)
        log_executions(layout, clock)
        has_changed.set()
        stop.set()

    assert home.batches == []
    assert executions(pending(layout)) == LINES


async def test_an_agent_that_is_told_to_stop_sends_what_it_seals(layout, clock, home, make_agent):
    agent, stop = make_agent(), asyncio.Event()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run(stop, asyncio.Event()))
        await until(lambda: agent._link.is_up)
        log_executions(layout, clock)
        stop.set()

    assert executions(home.batches) == LINES
    assert pending(layout) == []


async def test_where_telemetry_is_off_batches_that_wait_do_not_leave(layout, home, make_agent):
    batch = wire.TelemetryBatch(log_id="l", number=1)
    folder = BatchFolder(layout)
    folder.open()
    folder.seal(Checkpoint(number=1, positions={}), batch.SerializeToString())
    agent, stop = make_agent(enabled=False), asyncio.Event()
    home.push(home.state(1))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run(stop, asyncio.Event()))
        await until(lambda: home.reports)  # what waits to be sent would come before it
        stop.set()

    assert home.batches == []
    assert len(pending(layout)) == 1
