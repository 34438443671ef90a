"""A real edge validates its own executions, and its agent dies in the middle."""

import json
import os
import signal
from pathlib import Path

import pytest
from loopai.client import EdgeClient

from edged.agent.sampling import TaskSampler, sampling_salt
from edged.artifacts.archive import pack
from edged.datasets.layout import Layout
from edged.deployment.checking import Sampling
from scripts.support.stack import EdgeProcess, until

pytestmark = pytest.mark.processes
WRONG_HALF = 'def run(input_data):\n    return "spam" if len(input_data["text"]) % 2 else "ham"\n'
RIGHT = 'def run(input_data):\n    return "ham"\n'


def call(edge: EdgeProcess, task: str, number: int) -> list[str]:
    with EdgeClient(edge.grpc) as client:
        until(lambda: task in {served.name for served in client.list_tasks()}, "the task serves")
        values = [{"text": "x" * (index % 7)} for index in range(number)]
        return [answer.execution_id for answer in client.execute_batch(values, task=task)]


def validated(edge: EdgeProcess, task: str) -> list[dict]:
    folder = edge.data_dir / "datasets" / task / "validations"
    return [
        json.loads(line)
        for path in sorted(folder.glob("sampled-*.jsonl"))
        for line in path.read_bytes().split(b"\n")[:-1]
    ]


def drawn(edge: EdgeProcess, ids: list[str]) -> set[str]:
    """What the edge must draw, by the salt that it made."""
    sampler = TaskSampler(Sampling(rate=0.2), sampling_salt(Layout(edge.data_dir)))
    return {name for name in ids if sampler.audit(name) is not None}


def test_a_killed_agent_validates_exactly_what_it_drew(start_edge, make_artifact, oracle_server):
    oracle_server.delay_s = 0.02
    asked = {"oracle": "http", "url": oracle_server.url}
    edge = start_edge(
        make_artifact(WRONG_HALF, task="mail"), sampling={"rate": 0.2}, validation={"mail": asked}
    )
    ids = call(edge, "mail", 1000)
    until(lambda: len(validated(edge, "mail")) > 20, "some are validated")

    os.kill(edge.child_pid("agent"), signal.SIGKILL)
    ids += call(edge, "mail", 200)

    expected = drawn(edge, ids)
    until(
        lambda: {line["execution_id"] for line in validated(edge, "mail")} == expected,
        "all that were drawn are validated",
    )
    lines = validated(edge, "mail")
    assert {line["match"] for line in lines} == {True, False}
    assert all(line["match"] == (line["output"] == "ham") for line in lines)
    assert len({line["id"] for line in lines}) == len(expected)
    assert {line["program_id"] for line in lines} == {"00000000-0000-7000-8000-000000000001"}


def test_an_agent_judges_by_a_reference_program_of_its_own(
    start_edge, make_artifact, tmp_path: Path
):
    reference = tmp_path / "reference.zip"
    reference.write_bytes(pack(make_artifact(RIGHT, task="reference")))
    judged = {"oracle": "program", "artifact": str(reference)}
    edge = start_edge(
        make_artifact(WRONG_HALF, task="mail"), sampling={"rate": 0.2}, validation={"mail": judged}
    )

    ids = call(edge, "mail", 300)

    expected = drawn(edge, ids)
    until(lambda: len(validated(edge, "mail")) == len(expected), "all that were drawn are judged")
    lines = validated(edge, "mail")
    assert {line["execution_id"] for line in lines} == expected
    assert {line["oracle_output"] for line in lines} == {"ham"}
    assert {line["oracle"] for line in lines} == {"program"}
