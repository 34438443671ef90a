"""deployment.yaml read again while serving: what is valid comes into force, the rest does not."""

import json
import os
import signal
from pathlib import Path

import pytest
from loopai.client import EdgeClient

from edged.datasets.layout import Layout
from edged.deployment import Deployment
from edged.errors import ConfigInvalid
from edged.supervisor.reloading import Configuration
from scripts.support.stack import until
from tests.edged.commands.test_status_and_flush import status_of

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]  # status is asked again and again
LOOPS = "def run(input_data):\n    while True:\n        pass\n"


class Sources:
    """What `load` would read: a file, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "deployment.yaml"
        self.sections = {"storage": {"data_dir": str(folder)}}
        self.fault = ""

    def write(self, **sections: object) -> None:
        self.sections |= sections
        temporary = self.file.with_suffix(".new")  # another inode, whatever the clock's grain
        temporary.write_text(json.dumps(self.sections))
        temporary.replace(self.file)

    def read(self) -> Deployment:
        if self.fault:
            raise ConfigInvalid(source=str(self.file), reason=self.fault)
        return Deployment.model_validate(self.sections)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    Layout(tmp_path).state.mkdir()
    sources = Sources(tmp_path)
    sources.write()
    return sources


@pytest.fixture
def configuration(sources) -> Configuration:
    return Configuration(sources.read(), sources.file, sources.read)


def told(sources: Sources) -> dict:
    return json.loads((sources.file.parent / "state" / "edged.json").read_text())["config"]


def test_a_file_is_read_when_it_changed_and_has_settled(configuration, sources):
    before = configuration.has_changed()
    sources.write(sampling={"rate": 0.1})
    looks = [configuration.has_changed() for _ in range(2)]
    configuration.reload()

    assert (before, looks) == (False, [False, True])
    assert configuration.has_changed() is False


def test_a_file_that_is_gone_for_a_moment_is_no_change(configuration, sources):
    sources.file.unlink()

    assert [configuration.has_changed() for _ in range(3)] == [False] * 3


def test_what_the_agent_reads_comes_into_force(configuration, sources):
    sources.write(sampling={"rate": 0.1}, telemetry={"batch_size": 5})

    live = configuration.reload()

    assert live == {"sampling", "telemetry"}
    assert configuration.current.sampling.rate == 0.1
    assert configuration.current.telemetry.batch_size == 5


def test_what_needs_a_restart_is_named_and_waits(configuration, sources):
    sources.write(listen={"http": "127.0.0.1:1"}, runtime={"name": "other"})

    live = configuration.reload()

    assert live == frozenset()
    assert configuration.current.runtime.name == ""
    assert told(sources)["waits_for_restart"] == ["runtime", "listen"]


def test_a_refused_file_keeps_the_old_one_and_says_why(configuration, sources):
    sources.fault = "sampling.rate: too much"

    live = configuration.reload()
    refused = told(sources)["refused"]
    sources.fault = ""
    configuration.reload()

    assert live == frozenset()
    assert refused["reason"] == f"{sources.file}: sampling.rate: too much"
    assert told(sources)["refused"] is None
    assert configuration.current.sampling.rate == 0.05


def test_the_same_again_changes_nothing(configuration):
    assert configuration.reload() == frozenset()


def rewrite(edge, **sections):
    document = json.loads(edge._config.read_text()) | sections
    temporary = edge._config.with_suffix(".new")
    temporary.write_text(json.dumps(document))
    temporary.replace(edge._config)


def test_a_changed_file_comes_into_force_while_serving(start_edge, make_artifact):
    edge = start_edge(make_artifact())
    gateway = edge.child_pid("gateway")

    rewrite(edge, sampling={"rate": 0.2}, runtime={"drain_timeout_s": 3})
    until(lambda: status_of(edge)["agent"].get("sampling", {}).get("rate") == 0.2, "it is in force")

    assert edge.child_pid("gateway") == gateway
    assert status_of(edge)["edged"]["config"]["waits_for_restart"] == ["runtime"]


def test_the_gateways_settings_come_into_force_without_a_pause(start_edge, make_artifact):
    edge = start_edge(make_artifact(LOOPS, task="loops"))
    outcomes = []

    rewrite(edge, execution={"timeout_ms": 50})
    with EdgeClient(edge.grpc) as client:
        until(lambda: _is_cut_early(client, outcomes), "the limit is in force")

    assert set(outcomes) == {"TIMEOUT"}


def _is_cut_early(client, outcomes) -> bool:
    answer = client.execute({"text": "a"}, task="loops")
    outcomes.append(answer.outcome)
    return answer.latency_ms < 500


def test_an_invalid_file_is_refused_while_serving(start_edge, make_artifact):
    edge = start_edge(make_artifact())
    agent = edge.child_pid("agent")

    rewrite(edge, sampling={"rate": 3})
    os.kill(edge.pid, signal.SIGHUP)
    edge.wait_for("configuration_refused")

    found = status_of(edge)
    assert edge.child_pid("agent") == agent
    assert found["agent"]["sampling"]["rate"] == 0.05
    assert any("sampling.rate: Input should be less" in problem for problem in found["problems"])


def test_a_signal_without_a_change_disturbs_nothing(start_edge, make_artifact):
    edge = start_edge(make_artifact())
    agent = edge.child_pid("agent")

    os.kill(edge.pid, signal.SIGHUP)
    edge.wait_for("configuration_read", applied=[], waits_for_restart=[])

    assert edge.child_pid("agent") == agent
