"""An edge and its control plane as real processes, with the control plane away for a while."""

import json
import time

import pytest
from loopai.client import EdgeClient
from loopai.controlplane import ControlPlane, ControlPlaneError

from scripts.support.stack import ControlPlaneProcess, EdgeProcess, until
from tests.edged.commands.test_status_and_flush import status_of
from tests.edged.supervisor.test_reloading import rewrite

SHOUT = 'def run(input_data):\n    return input_data["text"].upper()\n'
WHISPER = 'def run(input_data):\n    return input_data["text"].lower()\n'
LISTS_A_FOLDER = "import os\n\n\ndef run(input_data):\n    return os.listdir('/')\n"
SETTINGS = {"telemetry": {"upload_interval_sec": 0.5}}


@pytest.fixture
def server(tmp_path):
    with ControlPlaneProcess(tmp_path) as server:
        yield server


@pytest.fixture
def home(server):
    with ControlPlane(server.url, server.api_key) as home:
        yield home


@pytest.fixture
def publish(home, tmp_path):
    """Return a function that uploads a program's text and activates it."""

    def publish(program: str) -> int:
        path = tmp_path / "program.py"
        path.write_text(program)
        version = home.upload("shout", path)["version"]
        home.activate("shout", version)
        return version

    examples = [{"input": {"text": "Ab"}, "output": "AB"}]
    home.create_task("shout", examples=examples, output_schema={"type": "string"})
    return publish


@pytest.fixture
def edge(tmp_path, server, publish):
    publish(SHOUT)
    with EdgeProcess(tmp_path, SETTINGS, server) as edge:
        until(lambda: serving(edge) == 1, "version 1 serves")
        yield edge


def serving(edge) -> int:
    with EdgeClient(edge.grpc) as client:
        return next((task.arms[0].version for task in client.list_tasks()), 0)


def execute(edge, times: int) -> list[str]:
    with EdgeClient(edge.grpc) as client:
        return [client.execute({"text": "Ab"}, task="shout").output for _ in range(times)]


def reasons(edge) -> str:
    return " ".join(event["reason"] for event in edge.events("link_down"))


def counted(home) -> int:
    return sum(arm["executions"] for arm in home.telemetry("shout")["arms"])


@pytest.mark.timeout(90)
def test_without_its_control_plane_an_edge_serves_restarts_and_reports_later(server, home, edge):
    execute(edge, 20)
    until(lambda: counted(home) == 20, "the first counts are home")

    server.stop()
    while_away = execute(edge, 30)
    edge.stop()
    edge.start()
    after_restart = execute(edge, 40)
    server.start()

    until(lambda: counted(home) == 90, "all counts are home")
    time.sleep(1)  # a batch that was counted twice would show by now
    assert counted(home) == 90
    assert while_away == ["AB"] * 30
    assert after_restart == ["AB"] * 40
    assert len(list(edge.logged("shout"))) == 90


@pytest.mark.timeout(90)
def test_a_new_version_reaches_the_edge_and_home_knows(home, edge, publish):
    version = publish(WHISPER)

    until(lambda: serving(edge) == version, "version 2 serves")

    def status() -> dict:
        [task] = home.edges()[0]["tasks"]
        return task

    until(lambda: status()["serving_version"] == version, "home knows")
    assert execute(edge, 1) == ["ab"]
    assert status()["state"] == "applied"


@pytest.mark.timeout(90)
def test_a_refused_upload_changes_nothing(home, edge, publish):
    with pytest.raises(ControlPlaneError) as caught:
        publish(LISTS_A_FOLDER)

    assert caught.value.status == 422
    assert "line 1, column 1" in str(caught.value)
    assert [version["version"] for version in home.versions("shout")] == [1]
    assert execute(edge, 1) == ["AB"]


@pytest.mark.timeout(120)
def test_what_waits_when_telemetry_is_switched_off_does_not_leave(tmp_path, server, publish):
    publish(SHOUT)
    settings = {"telemetry": {"upload_interval_sec": 3600}}
    with EdgeProcess(tmp_path, settings, server) as edge:
        until(lambda: serving(edge) == 1, "version 1 serves")
        execute(edge, 5)

        rewrite(edge, telemetry={"enabled": False})
        until(lambda: len(edge.events("link_up")) == 2, "the next agent is linked")

        telemetry = status_of(edge)["agent"]["telemetry"]
        assert (telemetry["enabled"], telemetry["batches_pending"]) == (False, 1)


@pytest.mark.timeout(90)
def test_a_wrong_key_is_said_and_the_edge_serves_on(edge, server):
    edge.stop()
    edge._environment["LOOPAI_API_KEY"] = "another-key"
    edge.start()

    # Of an attempt that wrote while it was refused, grpc's client may say INTERNAL instead.
    until(lambda: "UNAUTHENTICATED" in reasons(edge), "the reason is said")

    assert execute(edge, 1) == ["AB"]
    assert "another-key" not in edge.log.read_text()
    assert json.loads((edge.data_dir / "state" / "identity.json").read_text())["deployment_id"]
