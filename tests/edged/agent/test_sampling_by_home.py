"""The rate that home wants of an agent, for a task that nobody validates here."""

from pathlib import Path

import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batches import BatchFolder
from edged.agent.main import Agent
from edged.datasets.records import Execution, render
from edged.datasets.writer import LogWriter
from edged.deployment import Deployment


@pytest.fixture
def agent(layout, tmp_path):
    """An agent that home has told a rate before it was started last."""
    (layout.state / "home_settings.json").write_bytes(b'{"sampling": {"rate": 0.2}}')
    local = {
        "storage": {"data_dir": str(layout.data_dir)},
        "cloud": {"link_url": "http://127.0.0.1:1"},
        "sampling": {"rate": 0.05},
    }
    return Agent(Deployment.model_validate(local), Path(tmp_path / "c.sock"))


@pytest.fixture
def probabilities(agent, layout, clock):
    """Return a function that logs executions and gives the probabilities that go home."""
    writer = LogWriter(layout, "executions", clock)

    def probabilities() -> set[float]:
        for number in range(500):
            execution = Execution(
                execution_id=f"{number}", task="t", version=1, arm="stable", input_json=b"1"
            )
            writer.append("t", [render(execution, "2026-01-01T00:00:00.000Z")])
        agent._batcher.flush()
        folder = BatchFolder(layout)
        batch = wire.TelemetryBatch.FromString(folder.read(folder.pending()[-1]))
        return {round(each.inclusion_probability, 9) for each in batch.executions}

    yield probabilities
    writer.close()


def test_the_rate_that_home_wants_holds_from_the_start_and_when_it_changes(agent, probabilities):
    at_start = probabilities()

    agent._settings.receive(b'{"sampling": {"rate": 0.1}}')

    assert at_start == {0.2}
    assert probabilities() == {0.1}
