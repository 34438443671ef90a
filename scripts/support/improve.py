"""The loop closed, on real processes: traffic drifts, sampling notices, a new version takes over.

Runs in: a person's shell, as `scripts/demo improve`. Never: leaves a process behind.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loopai.client import EdgeClient
from loopai.controlplane import ControlPlane

from scripts.support.drift import drifted
from scripts.support.rows import Row
from scripts.support.stack import ControlPlaneProcess, EdgeProcess, StackError, until
from scripts.support.story import Story, generate
from scripts.support.traffic import Oracle, Traffic

# Minutes instead of days; the shape of the loop and its tests are the same.
HOME = {
    "LOOPAI_ROLLOUT__STAGE_MIN_EXECUTIONS": "300",
    "LOOPAI_ROLLOUT__STAGE_MIN_DURATION_S": "2",
    "LOOPAI_ROLLOUT__MIN_SHADOW_EXECUTIONS": "40",
}
WINDOW_S = 5.0  # of traffic that a failure rate is taken from
LOOP_S = 200.0
POLL_S = 0.25
ENDED = {"promoted", "rolled_back", "aborted", "rejected", "resolved"}


class Loop:
    """One walk: what it needs at hand, and what it has told already."""

    def __init__(self, story: Story, home: ControlPlane, task: str, traffic: Traffic) -> None:
        self._story = story
        self._home = home
        self._task = task
        self._traffic = traffic
        self._told: set[str] = set()

    def watch_improvement(self) -> dict[str, Any]:
        """Tell every step from trigger to promotion. Raises StackError when it takes too long."""
        end_s = time.monotonic() + LOOP_S
        while time.monotonic() < end_s:
            for improvement in reversed(self._home.improvements(self._task)["improvements"]):
                self._tell_improvement(improvement)
                if improvement["rollout_id"]:
                    self._tell_steps(improvement["rollout_id"])
                if improvement["status"] == "promoted":
                    return dict(improvement)
            time.sleep(POLL_S)
        raise StackError(f"no version was promoted within {LOOP_S:.0f} s")

    def watch_rollout(self, rollout: str) -> dict[str, Any]:
        """Tell every step of one rollout to its end."""
        end_s = time.monotonic() + LOOP_S
        while time.monotonic() < end_s:
            self._tell_steps(rollout)
            state = self._home.rollout(rollout)
            if state["status"] in ENDED:
                return dict(state)
            time.sleep(POLL_S)
        raise StackError(f"the rollout did not end within {LOOP_S:.0f} s")

    def failure_rate(self) -> float:
        """Return the live failure rate of the next few seconds."""
        begun_s = time.monotonic()
        time.sleep(WINDOW_S)
        rate, answers = self._traffic.failure_rate(begun_s)
        self._story.say(f"{100 * rate:.1f} % of {answers} live answers were wrong")
        return round(rate, 4)

    def _tell_improvement(self, improvement: dict[str, Any]) -> None:
        number = improvement["id"]
        for entry in improvement["history"]:
            self._once(f"{number}{entry['status']}", f"{entry['status']}: {entry['reason']}")
        for pattern in improvement["patterns"][:3]:
            self._once(f"{number}{pattern['words']}", f"  pattern: {pattern['words']}")

    def _tell_steps(self, rollout: str) -> None:
        for step in self._home.rollout(rollout)["steps"]:
            told = f"{step['action']} ({step['verdict']}) → {step['phase']}"
            stage = f" {step['stage']}" if step["stage"] else ""
            self._once(step["decision_id"], f"{told}{stage}: {step['reason']}")

    def _once(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._story.say(text)


def walk(
    story: Story, folder: Path, task: str, examples: Path, requests: list[Row]
) -> dict[str, Any]:
    """Run the whole loop and return its figures."""
    with ExitStack() as stack:
        oracle = Oracle()
        oracle.start()
        stack.callback(oracle.stop)
        oracle.know(requests)
        with story.step("Start a control plane, generate version 1, start an edge"):
            server = stack.enter_context(ControlPlaneProcess(folder, **_home(len(requests))))
            home = stack.enter_context(ControlPlane(server.url, server.api_key))
            home.create_task(task, description=f"Label each input of {examples.name}.")
            home.add_examples(task, examples)
            made = generate(story, home, task)
            edge = stack.enter_context(EdgeProcess(folder, _edge(task, oracle.url), server))
            until(lambda: _serves(edge, task), f"the edge serves {task}")
        traffic = Traffic(edge.grpc, task, requests)
        traffic.start()
        stack.callback(traffic.stop)
        loop = Loop(story, home, task, traffic)
        with story.step("Send live traffic; a fifth of it is validated against an oracle"):
            before = loop.failure_rate()
        with story.step("Let the traffic drift: people begin to write text-speak"):
            archive = folder / "v1.zip"
            archive.write_bytes(home.download(task, made["version"]))
            drift = drifted(requests, archive)
            oracle.know(drift.rows)
            traffic.pool = drift.rows
            story.say(drift.words)
            during = loop.failure_rate()
        with story.step("Watch: trigger, patterns, a new version, shadow, 10 → 50 → 100 %"):
            improvement = loop.watch_improvement()
        with story.step("Measure again"):
            after = loop.failure_rate()
        with story.step("Plant a bad version and roll it out by hand"):
            bad = _plant(folder, home, task, requests)
            ended = loop.watch_rollout(home.start_rollout(task, bad)["id"])
            story.say(f"{ended['status']}: {ended['reason']}")
            until(lambda: set(traffic.shares(time.monotonic() - 1)) != {bad}, "the good one serves")
    return {
        "failure_rate_before": before,
        "failure_rate_drifted": during,
        "failure_rate_after": after,
        "labels_to_trigger": improvement["trigger"]["labels"],
        "promoted_version": improvement["to_version"],
        "rolled_back": ended["status"] == "rolled_back",
        "reason": ended["reason"],
        "bad_version": bad,
        "trigger": improvement["trigger"],
        "patterns": [pattern["words"] for pattern in improvement["patterns"]],
        "evaluation": improvement["evaluation"],
        "oracle_answers": oracle.asked,
        "answers": len(traffic.calls),
        "seconds": story.seconds,
        "is_complete": after < 0.15 < during and ended["status"] == "rolled_back",
    }


def _home(texts: int) -> dict[str, str]:
    """Return the settings: a new program is made once about half of the texts were validated."""
    labels = str(max(60, texts // 2))
    return {
        **HOME,
        "LOOPAI_IMPROVEMENT__MIN_LABELS": labels,
        "LOOPAI_IMPROVEMENT__LABELS_BETWEEN_ATTEMPTS": labels,
    }


def _edge(task: str, oracle_url: str) -> dict[str, Any]:
    return {
        "telemetry": {"upload_interval_sec": 1},
        "sampling": {"rate": 0.2},
        "validation": {task: {"oracle": "http", "url": oracle_url, "budget_per_day": 1_000_000}},
    }


def _serves(edge: EdgeProcess, task: str) -> bool:
    with EdgeClient(edge.grpc) as client:
        return any(served.name == task for served in client.list_tasks())


def _plant(folder: Path, home: ControlPlane, task: str, requests: list[Row]) -> int:
    """Upload a program that always gives the same answer: every gate lets it pass."""
    program = folder / "always.py"
    program.write_text(f"def run(input_data):\n    return {requests[0].output!r}\n")
    return int(home.upload(task, program)["version"])
