"""A real strict edge and its real control plane: nothing that callers wrote is on the wire.

Executions, errors that quote their input, timeouts, validations, truths that callers report and a
version that the edge refuses: all are full of one marker.
"""

import secrets
from pathlib import Path

import pytest
from loopai.client import EdgeClient
from loopai.controlplane import ControlPlane

from scripts.support.stack import ControlPlaneProcess, EdgeProcess, until
from tests.fakes.tap import Tap

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]
CALLS = 60
MAIL = """
def run(input_data):
    text = input_data["text"]
    if text.endswith("3"):
        raise ValueError("cannot read " + text)
    while text.endswith("7"):
        pass
    return {"said": text}
"""
SLOW = """
def run(input_data):
    return sum(number % 7 for number in range(3_000_000)) and input_data["text"]
"""


@pytest.fixture
def marker() -> str:
    return "marker" + secrets.token_hex(12)


def upload(home: ControlPlane, folder: Path, task: str, program: str, examples: list) -> None:
    path = folder / f"{task}.py"
    path.write_text(program)
    home.create_task(task, examples=examples)
    home.activate(task, home.upload(task, path)["version"])


def use(edge: EdgeProcess, marker: str) -> None:
    """Call, and report a truth for every call."""
    with EdgeClient(edge.grpc) as client:
        until(lambda: "mail" in {task.name for task in client.list_tasks()}, "mail serves")
        for number in range(CALLS):
            answer = client.execute({"text": f"{marker}{number % 10}"}, task="mail", timeout_ms=50)
            client.report_outcome(answer.execution_id, {"truth": marker}, task="mail")


def seen_home(home: ControlPlane) -> int:
    return sum(arm["executions"] for arm in home.telemetry("mail")["arms"])


def refused_at(home: ControlPlane) -> list[str]:
    return [task["task"] for task in home.edges()[0]["tasks"] if task["state"] == "failed"]


@pytest.mark.parametrize(("mode", "is_heard"), [("strict", False), ("balanced", True)])
def test_what_a_plain_listener_hears(tmp_path, oracle_server, marker, mode, is_heard):
    oracle_server.label = lambda value: {"said": value["text"], marker: [marker]}
    oracle_server.failures = [500, 500]
    settings = {
        "telemetry": {"privacy_mode": mode, "upload_interval_sec": 0.5},
        "sampling": {"rate": 0.2},
        "validation": {"mail": {"oracle": "http", "url": oracle_server.url}},
        "execution": {"timeout_ms": 50},  # too short for `slow`'s self-test
    }
    with (
        ControlPlaneProcess(tmp_path) as server,
        ControlPlane(server.url, server.api_key) as home,
        Tap(server.link) as tap,
    ):
        upload(home, tmp_path, "mail", MAIL, [{"input": {"text": "a"}, "output": {"said": "a"}}])
        upload(home, tmp_path, "slow", SLOW, [{"input": {"text": marker}, "output": marker}])
        link = ("--link", f"http://{tap.address}")
        with EdgeProcess(tmp_path, settings, server, *link) as edge:
            use(edge, marker)
            until(lambda: seen_home(home) == CALLS, "all are counted")
            until(lambda: len(oracle_server.questions) > 4, "some are validated")
            until(lambda: refused_at(home) == ["slow"], "home knows what was refused")
        everything = tap.raw + tap.understood

    assert b"mail" in everything
    assert (marker.encode() in everything) is is_heard
