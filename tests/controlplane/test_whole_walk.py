"""From examples to an artifact at an edge, with real processes; and through crashes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from loopai.control.v1 import link_pb2 as pb
from loopai.control.v1.link_pb2_grpc import ControlPlaneServiceStub

from edged.artifacts.archive import digest_of
from edged.artifacts.signing import ArtifactStatement, VerifyingKey
from tests.controlplane.processes import API_KEY, control_plane

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

WORDS = {"billing": "invoice refund card", "login": "password sign locked", "bug": "crash error"}


def rows(per_label):
    made = []
    for label, words in WORDS.items():
        for number in range(per_label):
            word = words.split()[number % len(words.split())]
            made.append({"text": f"my {word} trouble number {number}", "label": label})
    return made


def lines(values):
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def generated(rest, name, **body):
    answer = rest.post(f"/api/v1/tasks/{name}/generate", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()


def ended(rest, generation):
    deadline_s = time.monotonic() + 90
    while time.monotonic() < deadline_s:
        found = rest.get(generation["status_url"], params={"wait_s": 30}).json()
        if found["status"] in ("done", "failed"):
            return found
    raise AssertionError(found)


def children_of(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def is_alive(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=15):
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.05)


async def as_edge(plane, name, zip_digest):
    """Enrol, take the state, fetch the artifact, report twice; return what was seen."""
    credentials = (("authorization", f"Bearer {API_KEY}"),)
    async with grpc.aio.insecure_channel(plane.link) as channel:
        stub = ControlPlaneServiceStub(channel)
        me = await stub.Enroll(pb.EnrollRequest(name="walker"), metadata=credentials)
        key = VerifyingKey.from_bytes(me.signing_public_key)
        stream = stub.Connect(metadata=credentials, timeout=30)
        hello = pb.Hello(deployment_id=me.deployment_id, instance_id="1", tasks=[name])
        await stream.write(pb.ConnectRequest(hello=hello))
        assert (await stream.read()).HasField("welcome")
        state = (await stream.read()).state
        wanted = pb.DesiredState.FromString(key.open_state(state.envelope)).tasks[0].stable
        statement = ArtifactStatement(task=name, version=wanted.version, digest=wanted.digest)
        key.check_artifact(wanted.signature, statement)
        await stream.write(
            pb.ConnectRequest(artifact_request=pb.ArtifactRequest(digest=wanted.digest))
        )
        content = b""
        while not (chunk := (await stream.read()).artifact_chunk).is_last:
            content += chunk.data
        content += chunk.data
        assert digest_of(content) == wanted.digest == zip_digest
        applied = pb.TaskStatus(
            task=name,
            state=pb.APPLY_STATE_APPLIED,
            serving_version=wanted.version,
            target_version=wanted.version,
        )
        report = pb.StateReport(nonce=state.nonce, sequence=1, tasks=[applied])
        await stream.write(pb.ConnectRequest(state_report=report))
        arm = pb.ArmSummary(task=name, version=wanted.version, arm="stable", executions=7)
        arm.outcomes["success"] = 7
        batch = pb.TelemetryBatch(deployment_id=me.deployment_id, log_id="l", number=1, arms=[arm])
        for _ in range(2):
            await stream.write(pb.ConnectRequest(telemetry=batch))
            assert (await stream.read()).telemetry_ack.number == 1
        await stream.done_writing()
    return me.deployment_id


def test_examples_become_a_program_that_an_edge_runs_and_reports(plane, rest, tmp_path):
    rest.post("/api/v1/tasks", json={"name": "support", "description": "Route messages"})
    rest.post("/api/v1/tasks/support/examples", content=lines(rows(60)))

    done = ended(rest, generated(rest, "support"))
    assert done["status"] == "done", done["reason"]
    assert (done["version"], done["progress"]) == (1, 1.0)
    assert done["confidence_score"] > 0.8
    assert done["scores"]

    content = rest.get("/api/v1/artifacts/support/v1/download").content
    (tmp_path / "support.zip").write_bytes(content)
    ran = subprocess.run(
        [sys.executable, "-I", str(tmp_path / "support.zip")],
        input=lines([{"text": "where is my refund"}, {"text": "the crash again"}]),
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert ran.stdout.split() == [b'"billing"', b'"bug"']

    edge = asyncio.run(as_edge(plane, "support", done["digest"]))
    telemetry = rest.get("/api/v1/tasks/support/telemetry").json()
    fleet = {each["deployment_id"]: each for each in rest.get("/api/v1/edges").json()["edges"]}
    assert telemetry["outcomes"] == {"success": 7}
    assert fleet[edge]["executions"] == {"support": 7}
    assert fleet[edge]["tasks"][0]["serving_version"] == 1
    assert fleet[edge]["tasks"][0]["state"] == "applied"


def test_generation_that_cannot_succeed_says_why(rest):
    one_label = [{"text": f"message {n}", "label": "same"} for n in range(30)]
    rest.post("/api/v1/tasks", json={"name": "hopeless", "examples": one_label})

    failed = ended(rest, generated(rest, "hopeless"))

    assert failed["status"] == "failed"
    assert "no program could be made" in failed["reason"]
    assert rest.get("/api/v1/artifacts/hopeless/versions").json()["versions"] == []


def test_work_goes_on_after_jobs_and_after_the_whole_server_are_killed(tmp_path):
    with control_plane(tmp_path / "data") as plane, plane.client() as rest:
        rest.post("/api/v1/tasks", json={"name": "survivor"})
        rest.post("/api/v1/tasks/survivor/examples", content=lines(rows(150)))
        generation = generated(rest, "survivor")
        plane.wait_for("generation_taken")
        first_jobs = plane.wait_for("jobs_started")["pid"]

        os.kill(first_jobs, signal.SIGKILL)
        second_jobs = plane.wait_for("jobs_started", count=2)["pid"]
        plane.wait_for("generation_taken", count=2)
        assert plane.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_until(lambda: not is_alive(second_jobs))

    with control_plane(tmp_path / "data") as plane, plane.client() as rest:
        done = ended(rest, generation)
        versions = rest.get("/api/v1/artifacts/survivor/versions").json()["versions"]

        noise = [each for each in plane.events if each["event"] == "noise"]

    assert done["status"] == "done", done["reason"]
    assert not noise
    assert [each["version"] for each in versions] == [1]
    assert versions[0]["generation_id"] == generation["id"]


@pytest.mark.parametrize("how", ["stop", "interrupt"])
def test_asked_to_stop_everything_stops_quietly_though_work_is_under_way(tmp_path, how):
    with control_plane(tmp_path / "data") as plane, plane.client() as rest:
        plane.wait_for("jobs_ready")
        rest.post("/api/v1/tasks", json={"name": "slow", "examples": rows(200)})
        generated(rest, "slow")
        family = [*children_of(plane.process.pid)]
        started_s = time.monotonic()

        code = getattr(plane, how)()

        assert code == 0
        assert time.monotonic() - started_s < 8
        wait_until(lambda: not any(is_alive(pid) for pid in family))
        assert not [each for each in plane.events if each.get("level") == "error"]
        assert not [each for each in plane.events if each["event"] == "noise"]


def test_key_is_made_at_the_first_start_and_only_its_path_is_logged(tmp_path):
    with control_plane(tmp_path / "data", LOOPAI_API_KEY="") as plane:
        written = plane.wait_for("api_key_written")
        key = Path(written["path"]).read_text().strip()
        with plane.client(api_key=key) as rest:
            assert rest.get("/api/v1/tasks").status_code == 200

        assert key not in json.dumps(plane.events)


def test_second_server_on_the_same_folder_is_refused(plane):
    second = subprocess.run(
        [sys.executable, "-m", "controlplane.commands", "serve", "--data-dir", plane.data_dir],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert second.returncode == 2
    assert "folder_in_use" in second.stderr


def test_port_that_is_taken_is_named(plane, tmp_path):
    port = plane.wait_for("controlplane_ready")["http"].rpartition(":")[2]
    words = ["--data-dir", str(tmp_path / "data"), "--port", port]

    second = subprocess.run(
        [sys.executable, "-m", "controlplane.commands", "serve", *words],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in second.stderr


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"]])
def test_help_is_there(words):
    shown = subprocess.run(
        [sys.executable, "-m", "controlplane.commands", *words],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    assert "Usage" in shown.stdout
    assert "parent-pid" not in shown.stdout
