"""A person starts, watches and steers a rollout over REST and the command line."""

import os
import subprocess
import sys
from uuid import uuid4

import grpc
import pytest
from loopai.control.v1 import link_pb2 as pb

from tests.controlplane.processes import API_KEY
from tests.fakes.edge import FakeEdge, labelled

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]

PROGRAM = b"def run(input_data):\n    return 'ham'\n"


@pytest.fixture
def task(rest):
    """A task with v1 active and v2 beside it."""
    name = f"t-{uuid4().hex[:12]}"
    rows = [{"text": "hello", "label": "ham"}, {"text": "win", "label": "spam"}]
    assert rest.post("/api/v1/tasks", json={"name": name, "examples": rows}).status_code == 201
    for activate in (True, False):
        url = f"/api/v1/artifacts/{name}/upload"
        answer = rest.post(url, params={"activate": activate}, content=PROGRAM)
        assert answer.status_code == 201, answer.text
    return name


@pytest.fixture
def edge(plane):
    with (
        grpc.insecure_channel(plane.link) as channel,
        FakeEdge(channel, API_KEY).connected() as connected,
    ):
        yield connected


@pytest.fixture
def loopai(plane):
    """Return a function that runs the command line."""

    def run(*words, code=0):
        url = plane.wait_for("controlplane_ready")["http"]
        done = subprocess.run(
            [sys.executable, "-c", "from loopai.cli.commands import app; app()", *words],
            env={"PATH": os.environ["PATH"], "LOOPAI_API_KEY": API_KEY, "LOOPAI_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


def start(rest, task, **plan):
    answer = rest.post("/api/v1/rollouts", json={"task": task, "version": 2, "plan": plan})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_plan_by_hand_and_every_order_reach_the_edge_signed(rest, task, edge):
    stages = [{"weight": 0.25, "min_executions": 7, "min_duration_s": 3}]
    rollout = start(rest, task, stages=stages, is_automatic=False)

    wanted = edge.wait_for_candidate(task, 2)
    rest.post(f"/api/v1/rollouts/{rollout['id']}/pause", json={"reason": "lunch"})
    state = edge.wait_for_state(lambda state: len(state.commands) == 1)
    aborted = rest.post(f"/api/v1/rollouts/{rollout['id']}/abort").json()
    edge.wait_for_state(lambda state: len(state.commands) == 2)

    (stage,) = wanted.plan.stages
    assert (stage.weight, stage.min_executions, stage.min_duration_s) == (0.25, 7, 3)
    assert not wanted.plan.is_automatic
    assert wanted.plan.rollout_id == rollout["id"]
    (command,) = state.commands
    assert (command.kind, command.reason) == (pb.COMMAND_KIND_PAUSE, "lunch")
    assert (command.task, command.subject) == (task, rollout["id"])
    assert aborted["status"] == "aborted"


def test_command_line_watches_a_rollout_to_its_end(rest, task, edge, loopai):
    started = loopai("rollouts", "start", task, "2").strip()
    wanted = edge.wait_for_candidate(task, 2)
    edge.decide(wanted, "advance", phase="stage", stage=1, reason="16 labels, none worse")
    edge.decide(wanted, "promote", phase="promoted", reason="all stages passed")

    watched = loopai("rollouts", "watch", started)

    assert "advance" in watched
    assert "16 labels, none worse" in watched
    assert f"{task} v1 → v2 promoted: promoted by 1 edge" in watched
    assert "promoted" in loopai("rollouts", "list", "--task", task)
    assert (
        rest.get(f"/api/v1/artifacts/{task}/versions").json()["versions"][0]["status"] == "active"
    )


def test_watching_one_that_is_rolled_back_fails_with_the_reason(rest, task, edge, loopai):
    rollout = start(rest, task)
    wanted = edge.wait_for_candidate(task, 2)
    edge.decide(wanted, "roll_back", verdict="FAIL", phase="rolled_back", reason="errors 9 %")

    assert "errors 9 %" in loopai("rollouts", "watch", rollout["id"], code=1)


def test_review_and_failure_rate_are_at_hand_on_the_command_line(rest, task, edge, loopai):
    execution = str(uuid4())
    edge.report(
        **labelled(task, 1, {"text": "win"}, output="ham", label="spam", execution_id=execution)
    )

    before = loopai("improvements", task)
    told = loopai("review", execution, "ham")
    after = loopai("improvements", task)
    refused = rest.post("/api/v1/reviews", json={"execution_id": execution, "label": "other"})

    assert "v1 failed 1 of 1 audited executions" in before
    assert f'{execution} should be "ham"' in told
    assert "v1 failed 0 of 1 audited executions" in after
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "label"
    reviews = rest.get("/api/v1/reviews", params={"task": task}).json()["reviews"]
    assert [each["label"] for each in reviews] == ["ham"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"version": 9}, 409),
        ({"version": 1}, 409),
        ({"version": 2, "plan": {"stages": []}}, 422),
        ({"version": 2, "plan": {"colour": "red"}}, 422),
        ({"version": 2, "plan": {"shadow_rate": 2}}, 422),
    ],
)
def test_rollout_that_makes_no_sense_is_refused(rest, task, body, status):
    assert rest.post("/api/v1/rollouts", json={"task": task} | body).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/rollouts/none"),
        ("POST", "/api/v1/rollouts/none/pause"),
        ("GET", "/api/v1/tickets/none"),
        ("POST", "/api/v1/tickets/none/resolve"),
        ("GET", "/api/v1/improvements/none"),
    ],
)
def test_what_is_not_there_is_not_found(rest, method, path):
    assert rest.request(method, path).status_code == 404
