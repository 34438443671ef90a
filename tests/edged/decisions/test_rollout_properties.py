import json

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.decisions.discordance import PairCounts
from edged.decisions.evidence import Verdict
from edged.decisions.mixtures import Tally
from edged.decisions.plan import Plan
from edged.decisions.progress import (
    ArmCounts,
    Command,
    CommandKind,
    Observations,
    Progress,
    begin,
)
from edged.decisions.rollout import ActionKind, next_action

NOW_S = 1_800_000_000.0
HOUR_S = 3600.0
PLAN = Plan(rollout_id="r1")

COUNTS = st.builds(
    lambda executions, errors, timeouts, labels, failures: ArmCounts(
        executions=executions + errors + timeouts,
        errors=errors,
        timeouts=timeouts,
        labels=labels + failures,
        failures=failures,
    ),
    st.integers(0, 800),
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(0, 40),
    st.integers(0, 10),
)
PAIRS = st.builds(
    lambda agreed, right, wrong, out: PairCounts(
        agreed=agreed,
        disagreed=right + wrong + out,
        candidate_right=right,
        stable_right=wrong,
    ),
    st.integers(0, 60),
    st.integers(0, 12),
    st.integers(0, 3),
    st.integers(0, 3),
)
COMMANDS = st.lists(
    st.builds(
        Command, kind=st.sampled_from(CommandKind), command_id=st.sampled_from(["a", "b", "c"])
    ),
    max_size=2,
).map(tuple)
LOOKS = st.lists(
    st.builds(
        Observations,
        candidate=COUNTS,
        stable=COUNTS,
        slow=st.builds(Tally, trials=st.integers(0, 800)),
        pairs=PAIRS,
        stable_p99_ms=st.one_of(st.none(), st.floats(0.1, 20)),
        commands=st.one_of(st.just(()), COMMANDS),
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None)  # a look weighs five tests
@given(LOOKS)
def test_no_sequence_of_looks_skips_a_step_or_passes_without_evidence(looks):
    progress = begin(PLAN, now_s=NOW_S)

    for number, seen in enumerate(looks):
        action = next_action(PLAN, progress, seen, NOW_S + number * HOUR_S)
        is_step = action.kind in {ActionKind.ADVANCE, ActionKind.PROMOTE}

        assert action.progress.stage - progress.stage == (action.kind is ActionKind.ADVANCE)
        assert len(action.progress.commands) - len(progress.commands) in {0, 1}
        assert action.progress.weight(PLAN) >= progress.weight(PLAN) or not is_step
        if is_step and action.progress.commands == progress.commands:
            assert action.verdict is Verdict.PASS
            assert all(evidence.verdict is not Verdict.FAIL for evidence in action.evidence)
        progress = action.progress


@settings(max_examples=25, deadline=None)  # a look weighs five tests
@given(LOOKS)
def test_a_restart_between_any_two_looks_changes_nothing(looks):
    plan = Plan.from_json(json.loads(json.dumps(PLAN.as_json())))
    lived = restarted = begin(PLAN, now_s=NOW_S)

    for number, seen in enumerate(looks):
        now_s = NOW_S + number * HOUR_S
        one, other = (
            next_action(PLAN, lived, seen, now_s),
            next_action(plan, restarted, seen, now_s),
        )
        lived = one.progress
        restarted = Progress.from_json(json.loads(json.dumps(other.progress.as_json())))

        assert one == other
        assert json.loads(json.dumps(one.as_json(), allow_nan=False))["action"] == one.kind
