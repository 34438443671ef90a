"""The whole loop at home with real processes: failures arrive, a better version goes out."""

import os
import random
import signal
import time
from contextlib import contextmanager

import grpc
import pytest
from loopai.control.v1 import link_pb2 as pb

from tests.controlplane.processes import API_KEY, control_plane
from tests.fakes.edge import FakeEdge, labelled, together

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

FAST = {
    "LOOPAI_IMPROVEMENT__MIN_LABELS": "40",
    "LOOPAI_IMPROVEMENT__MIN_SEALED": "8",
    "LOOPAI_IMPROVEMENT__LABELS_BETWEEN_ATTEMPTS": "30",
    "LOOPAI_ROLLOUT__STAGE_MIN_EXECUTIONS": "20",
    "LOOPAI_ROLLOUT__STAGE_MIN_DURATION_S": "0",
}
WORDS = {"billing": "invoice refund card", "login": "password sign locked", "bug": "crash error"}
FILLERS = ("my", "the", "again", "today", "please", "quickly", "yesterday", "help", "why", "now")

PROGRAM = f"""
WORDS = {WORDS!r}


def run(input_data):
    said = input_data["text"].split()
    for label in WORDS:
        if any([word in said for word in WORDS[label].split()]):
            return label
    return "bug"
"""


def texts(count, seed):
    """Make texts, each with what the first program says of it."""
    drawn = random.Random(seed)
    for number in range(count):
        label = sorted(WORDS)[number % len(WORDS)]
        words = [drawn.choice(WORDS[label].split()), *drawn.sample(FILLERS, 4), f"n{number}"]
        drawn.shuffle(words)
        yield " ".join(words), label


def drifted(label):
    """The world after the drift: what was billing is a bug."""
    return "bug" if label == "billing" else label


def records(task, count, *, truth, seed, version=1, answer=lambda label: label, **facts):
    return together(
        labelled(
            task,
            version,
            {"text": text},
            output=answer(label),
            label=truth(label),
            **facts,
        )
        for text, label in texts(count, seed)
    )


@contextmanager
def edge_of(plane, **facts):
    with (
        grpc.insecure_channel(plane.link) as channel,
        FakeEdge(channel, API_KEY, **facts).connected() as edge,
    ):
        yield edge


def make_task(rest, name):
    """Make a task that serves a program which knows the words; uploading trains nothing."""
    rows = [{"text": text, "label": label} for text, label in texts(60, seed=name)]
    answer = rest.post("/api/v1/tasks", json={"name": name, "examples": rows})
    assert answer.status_code == 201, answer.text
    upload = f"/api/v1/artifacts/{name}/upload"
    answer = rest.post(upload, params={"activate": True}, content=PROGRAM.encode())
    assert answer.status_code == 201, answer.text


def until(condition, seconds=60):
    deadline_s = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.1)


def newest(rest, task, *statuses):
    """Return the newest attempt once it has one of these statuses."""

    def look():
        rows = rest.get(f"/api/v1/tasks/{task}/improvements").json()["improvements"]
        return rows[0] if rows and rows[0]["status"] in statuses else None

    return until(look)


def versions(rest, task):
    rows = rest.get(f"/api/v1/artifacts/{task}/versions").json()["versions"]
    return {row["version"]: row["status"] for row in rows}


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("loop") / "data", **FAST) as plane:
        yield plane


@pytest.fixture
def rest(fast):
    with fast.client() as client:
        yield client


def test_relabelled_class_is_noticed_learnt_rolled_out_and_promoted(fast, rest):
    make_task(rest, "drift")
    with edge_of(fast) as edge:
        edge.wait_for_state(lambda state: any(t.task == "drift" for t in state.tasks))

        edge.report(**records("drift", 120, truth=drifted, seed=1))
        wanted = edge.wait_for_candidate("drift", 2)
        edge.decide(wanted, "advance", phase="stage", stage=1)
        edge.decide(wanted, "promote", phase="promoted", stage=3)
        done = newest(rest, "drift", "promoted")

        after = edge.wait_for_state(
            lambda state: any(t.task == "drift" and t.stable.version == 2 for t in state.tasks)
        )

    history = [each["status"] for each in done["history"]]
    assert history == [
        "triggered", "analysing", "generating", "evaluating", "rolling_out", "promoted",
    ]  # fmt: skip
    assert "bug predicted as billing" in done["patterns"][0]["words"]
    assert done["evaluation"]["only_candidate"] > done["evaluation"]["only_incumbent"]
    assert done["trigger"]["is_alarm"]
    assert versions(rest, "drift") == {1: "deprecated", 2: "active"}
    assert not [t for t in after.tasks if t.task == "drift" and t.candidate.version]
    rollout = rest.get(f"/api/v1/rollouts/{done['rollout_id']}").json()
    assert rollout["status"] == "promoted"
    assert [step["action"] for step in rollout["steps"]] == ["advance", "promote"]
    assert rollout["steps"][0]["evidence"] == [{"test": "discordance", "n": 40}]


def test_version_that_an_edge_rolls_back_is_quarantined_and_counts_as_rejected(fast, rest):
    make_task(rest, "worse")
    with edge_of(fast) as edge:
        edge.report(**records("worse", 120, truth=drifted, seed=2))
        wanted = edge.wait_for_candidate("worse", 2)

        edge.decide(wanted, "roll_back", verdict="FAIL", phase="rolled_back", reason="timeouts 4 %")
        rejected = newest(rest, "worse", "rejected")
        edge.wait_for_state(lambda state: not any(t.candidate.version for t in state.tasks))

    assert "timeouts 4 %" in rejected["reason"]
    assert versions(rest, "worse") == {1: "active", 2: "quarantined"}


def test_labels_without_texts_give_an_estimate_and_a_ticket_but_no_program(fast, rest):
    make_task(rest, "strict")
    with edge_of(fast, privacy=pb.PRIVACY_MODE_STRICT) as edge:
        edge.report(**records("strict", 120, truth=drifted, seed=3, is_private=True))
        asked = newest(rest, "strict", "waiting_for_human")

    failure = rest.get("/api/v1/tasks/strict/improvements").json()["failure"]
    (ticket,) = rest.get("/api/v1/tickets", params={"task": "strict"}).json()["tickets"]
    assert failure["labels"] == 120
    assert 0.2 < failure["rate"] < 0.5
    assert "strict privacy" in asked["reason"]
    assert ticket["content"]["examples"] == []
    assert versions(rest, "strict") == {1: "active"}


def test_three_hopeless_attempts_give_one_ticket_and_true_labels_heal(fast, rest):
    make_task(rest, "random")
    noise = random.Random(5)

    with edge_of(fast) as edge:
        for attempt in range(3):
            chosen = records(
                "random", 60, truth=lambda _: noise.choice(sorted(WORDS)), seed=10 + attempt
            )
            edge.report(**chosen)
            newest(rest, "random", "rejected", "waiting_for_human")
            until(
                lambda count=attempt + 1: (
                    len(rest.get("/api/v1/tasks/random/improvements").json()["improvements"])
                    == count
                )
            )
            newest(rest, "random", "rejected", "waiting_for_human")
        (ticket,) = rest.get("/api/v1/tickets", params={"task": "random"}).json()["tickets"]
        edge.report(**records("random", 60, truth=lambda _: "bug", seed=14))
        assert len(rest.get("/api/v1/tickets", params={"task": "random"}).json()["tickets"]) == 1

        void = {"since": "2020-01-01T00:00:00Z", "oracle": "http"}
        voided = rest.post("/api/v1/tasks/random/oracles/void", json=void).json()["voided"]
        edge.report(**records("random", 120, truth=drifted, seed=15))
        rest.post(f"/api/v1/tickets/{ticket['id']}/resolve", json={"note": "oracle repaired"})
        wanted = edge.wait_for_candidate("random", 2)
        edge.decide(wanted, "promote", phase="promoted", stage=3)
        healed = newest(rest, "random", "promoted")

    assert ticket["status"] == "open"
    assert "3 improvements in a row" in ticket["reason"]
    assert 0 < len(ticket["content"]["examples"]) <= 20
    assert voided == 240
    assert healed["to_version"] == 2
    assert versions(rest, "random") == {1: "deprecated", 2: "active"}


@pytest.mark.parametrize("moment", ["analysing", "generating", "evaluating", "rolling_out"])
def test_killed_at_any_step_the_attempt_goes_on_and_publishes_once(fast, rest, moment):
    task = f"killed-{moment.replace('_', '-')}"
    make_task(rest, task)
    seen = len(fast.events)
    with edge_of(fast) as edge:
        edge.report(**records(task, 120, truth=drifted, seed=4))
        wait_for_moment(fast, moment, seen)

        os.kill(events(fast, "jobs_started")[-1]["pid"], signal.SIGKILL)
        wanted = edge.wait_for_candidate(task, 2)
        edge.decide(wanted, "promote", phase="promoted", stage=3)
        done = newest(rest, task, "promoted", "resolved", "rejected")

    rollouts = rest.get("/api/v1/rollouts", params={"task": task}).json()["rollouts"]
    assert done["status"] == "promoted", done["reason"]
    assert versions(rest, task) == {1: "deprecated", 2: "active"}
    assert len(rollouts) == 1


def test_attempt_goes_on_after_the_whole_server_was_killed(tmp_path):
    with control_plane(tmp_path / "data", **FAST) as plane, plane.client() as rest:
        make_task(rest, "server")
        with edge_of(plane) as edge:
            edge.report(**records("server", 120, truth=drifted, seed=4))
            wait_for_moment(plane, "generating")
            assert plane.stop(signal.SIGKILL) == -signal.SIGKILL

    with control_plane(tmp_path / "data", **FAST) as plane, plane.client() as rest:
        with edge_of(plane, deployment_id=edge.deployment_id) as edge:
            wanted = edge.wait_for_candidate("server", 2)
            edge.decide(wanted, "promote", phase="promoted", stage=3)
            done = newest(rest, "server", "promoted", "resolved", "rejected")

        assert done["status"] == "promoted", done["reason"]
        assert versions(rest, "server") == {1: "deprecated", 2: "active"}


def events(plane, name):
    return [each for each in list(plane.events) if each["event"] == name]


def wait_for_moment(plane, status, seen=0):
    """Return as soon as the log after that event says that an attempt came to this status."""
    deadline_s = time.monotonic() + 60
    while status not in [each.get("status") for each in plane.events[seen:]]:
        assert time.monotonic() < deadline_s, f"never {status}"
        time.sleep(0.002)
