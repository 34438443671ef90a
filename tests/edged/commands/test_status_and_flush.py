"""`edged status` and `edged flush` against real edges, running and not."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from loopai.client import EdgeClient

from scripts.support.stack import EdgeProcess, until
from tests.fakes.home import DEPLOYMENT, FakeHome

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]  # two starts of Python and more


def run_edged(verb: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edged.commands", verb, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def status_of(edge: EdgeProcess) -> dict:
    return json.loads(run_edged("status", "--data-dir", edge.data_dir, "--json").stdout)


@pytest.fixture
async def home():
    async with FakeHome() as home:
        yield home


@pytest.fixture
def linked(tmp_path, home):
    """Return an edge that is linked to the fake home and uploads of itself only once an hour."""
    edge = EdgeProcess(
        tmp_path,
        {
            "artifacts": {"folder": str(tmp_path / "artifacts")},
            "telemetry": {"upload_interval_sec": 3600},
            "cloud": {"link_url": f"http://{home.address}", "api_key": "${LOOPAI_API_KEY}"},
        },
    )
    edge._environment["LOOPAI_API_KEY"] = "made-up-and-secret"
    yield edge
    edge.stop()


def test_a_running_edge_tells_everything(start_edge, make_artifact):
    edge = start_edge(make_artifact(), sampling={"rate": 0.2})
    with EdgeClient(edge.grpc) as client:
        client.execute({"text": "a"}, task="shout")

    found = status_of(edge)

    assert found["running"] is True
    assert found["problems"] == []
    assert (found["edged"]["grpc"], found["edged"]["http"]) == (edge.grpc, edge.http)
    assert found["edged"]["pid"] == edge.pid
    assert found["edged"]["config"]["file"].endswith("deployment.yaml")
    assert found["gateway"]["ready"] is True
    agent = found["agent"]
    assert agent["pid"] == edge.child_pid("agent")
    [arm] = agent["tasks"]["shout"]["arms"]
    assert (arm["arm"], arm["version"], arm["weight"]) == ("stable", 1, 1.0)
    assert arm["digest"].startswith("sha256:")
    assert agent["link"] is None
    assert agent["privacy"] == {"configured": "balanced", "effective": "balanced"}
    assert agent["sampling"]["rate"] == 0.2
    assert agent["disk"]["free_bytes"] > 0


def test_a_person_reads_the_same(start_edge, make_artifact):
    edge = start_edge(make_artifact())

    shown = run_edged("status", "--config", edge._config)

    assert shown.returncode == 0
    for words in ("runs, since", edge.grpc, "shout: v1 100%", "no control plane", "balanced"):
        assert words in shown.stdout


def test_a_door_that_speaks_tls_is_looked_through_too(start_edge, make_artifact, tmp_path):
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    tls = {"certificate": str(tmp_path / "chain.pem"), "key": str(tmp_path / "key.pem")}

    edge = start_edge(make_artifact(), listen={"tls": tls})

    found = status_of(edge)
    assert found["gateway"]["ready"] is True
    assert found["problems"] == []


def test_an_edge_that_does_not_run_is_told_from_its_disk(start_edge, make_artifact):
    edge = start_edge(make_artifact())
    edge.stop()

    shown = run_edged("status", "--data-dir", edge.data_dir, "--json")

    found = json.loads(shown.stdout)
    assert shown.returncode == 1
    assert found["running"] is False
    assert "does not run" in found["problems"][0]
    assert found["agent"]["tasks"]["shout"]["arms"][0]["version"] == 1


def test_a_folder_that_is_no_edges_is_said_to_be_none(tmp_path):
    shown = run_edged("status", "--data-dir", tmp_path / "nothing")

    assert shown.returncode == 1
    assert "does not run" in shown.stdout
    assert not (tmp_path / "nothing").exists()


def test_a_stopped_gateway_and_a_dead_agent_are_named(start_edge, make_artifact):
    edge = start_edge(make_artifact())
    os.kill(edge.child_pid("agent"), signal.SIGSTOP)
    os.kill(edge.child_pid("gateway"), signal.SIGSTOP)
    (edge.data_dir / "state" / "agent.json").write_text('{"control": "/nowhere"}')

    problems = " ".join(status_of(edge)["problems"])

    for name in ("agent", "gateway"):
        os.kill(edge.child_pid(name), signal.SIGCONT)
    assert "the gateway does not answer" in problems
    assert "the agent does not answer" in problems


def test_flush_without_a_running_edge_says_how_to_start_it(tmp_path):
    refused = run_edged("flush", "--data-dir", tmp_path)

    assert refused.returncode == 2
    assert refused.stderr.strip() == "edged: the agent does not run; start it with: edged serve"


def test_flush_without_a_control_plane_has_nothing_to_send(start_edge, make_artifact):
    edge = start_edge(make_artifact())

    flushed = run_edged("flush", "--data-dir", edge.data_dir)

    assert flushed.returncode == 0
    assert "no control plane is configured" in flushed.stdout


async def test_flush_sends_what_is_pending_now(linked, home, make_artifact):
    home.push(home.state(5))
    await asyncio.to_thread(linked.start)
    _log(linked, 7)

    flushed = await asyncio.to_thread(run_edged, "flush", "--data-dir", linked.data_dir, "--json")

    assert (flushed.returncode, json.loads(flushed.stdout)) == (
        0,
        {"sent": 1, "pending": 0, "reason": ""},
    )
    assert sum(arm.executions for batch in home.batches for arm in batch.arms) == 7


async def test_status_tells_of_the_link_and_no_key(linked, home):
    await asyncio.to_thread(linked.start)
    await asyncio.to_thread(until, lambda: status_of(linked)["agent"]["link"]["up"], "up")

    shown = await asyncio.to_thread(run_edged, "status", "--data-dir", linked.data_dir, "--json")

    link = json.loads(shown.stdout)["agent"]["link"]
    assert (link["address"], link["deployment_id"]) == (home.address, DEPLOYMENT)
    assert "made-up-and-secret" not in shown.stdout


async def test_what_cannot_be_sent_now_waits_and_says_why(linked, home):
    home.is_acknowledging = False
    await home._server.stop(0)
    await asyncio.to_thread(linked.start)
    _log(linked, 3)

    flushed = await asyncio.to_thread(run_edged, "flush", "--data-dir", linked.data_dir)

    assert flushed.returncode == 1
    assert "1 wait on disk: UNAVAILABLE" in flushed.stdout
    found = await asyncio.to_thread(status_of, linked)
    assert found["agent"]["telemetry"]["batches_pending"] == 1
    assert any("the control plane is away" in problem for problem in found["problems"])


def _log(edge: EdgeProcess, number: int) -> None:
    """Append executions as a gateway does: no program is needed for telemetry."""
    from edged.datasets.layout import Layout
    from tests.fakes.clock import FakeClock
    from tests.fakes.execution_log import ExecutionLog

    Path(edge.data_dir / "datasets").mkdir(parents=True, exist_ok=True)
    log = ExecutionLog(Layout(edge.data_dir), FakeClock())
    log.append(number)
    log.close()
