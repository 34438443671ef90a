"""What leaves under which mode: decisions, names of outputs, and the floor that home sets."""

import orjson
import pytest

from edged.agent.privacy.modes import Mode

DECISION = {
    "decision_id": "d1",
    "rollout_id": "r1",
    "task": "shout",
    "version": 2,
    "stage": 1,
    "phase": "rolled_back",
    "verdict": "FAIL",
    "action": "roll_back",
    "reason": "the candidate cannot be served: self-test failed: KeyError: 'ann@example.com'",
    "evidence": [],
    "decided_at": "2026-01-01T00:00:00.000Z",
}


@pytest.mark.parametrize(
    ("mode", "start"),
    [(Mode.STRICT, "withheld"), (Mode.BALANCED, "the candidate cannot be served: self-test")],
)
def test_what_a_candidate_was_refused_for_is_scrubbed(make_releaser, mode, start):
    reason = make_releaser(mode).decision(DECISION).reason

    assert reason.startswith(start)
    assert "@example" not in reason


def test_what_the_evidence_says_in_words_of_ours_stays_whole(make_releaser):
    shown = {**DECISION, "reason": "errors 1.0 % against 0.0 %; " * 20, "evidence": [{}]}

    assert make_releaser(Mode.STRICT).decision(shown).reason == shown["reason"]


def test_a_reason_is_noted_before_it_is_said(make_releaser, layout):
    said = make_releaser(Mode.BALANCED).reason("KeyError: 'ann@example.com'")

    [path] = layout.audit.glob("*.jsonl")
    [line] = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert said == "KeyError: '[EMAIL]'"
    assert (line["what"], line["bytes"]) == ("reason", len(said))


def test_a_reason_that_cannot_be_noted_is_not_said(make_releaser, layout):
    layout.audit.write_text("in the way")

    assert make_releaser(Mode.PERMISSIVE).reason("KeyError: 'x'") == "withheld"


def test_names_of_long_outputs_are_not_remembered(releaser):
    for output in ("short", "long" * 1000):
        releaser.output_name({"task": "spam", "version": 1, "output": output})

    assert releaser._output_name.cache_info().currsize == 1


def test_a_floor_of_home_outlives_a_restart_and_yields_to_a_tighter_file(layout, make_releaser):
    make_releaser(Mode.PERMISSIVE).tighten(Mode.BALANCED)

    assert make_releaser(Mode.PERMISSIVE).mode is Mode.BALANCED
    assert make_releaser(Mode.STRICT).mode is Mode.STRICT


def test_a_damaged_floor_is_the_tightest(layout, make_releaser):
    (layout.state / "privacy-floor").write_text("blan")

    assert make_releaser(Mode.PERMISSIVE).mode is Mode.STRICT
