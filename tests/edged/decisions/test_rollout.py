import json
from dataclasses import replace

import pytest

from edged.decisions.discordance import DiscordanceTest, PairCounts
from edged.decisions.evidence import Verdict
from edged.decisions.mixtures import Tally
from edged.decisions.plan import Plan, Shadow, Stage
from edged.decisions.progress import (
    ArmCounts,
    Command,
    CommandKind,
    Observations,
    Phase,
    Progress,
    begin,
)
from edged.decisions.rollout import ActionKind, next_action

NOW_S = 1_800_000_000.0
HOUR_S = 3600.0
PLAN = Plan(rollout_id="r1")
BETTER = PairCounts(agreed=90, disagreed=12, candidate_right=11, stable_right=1)
NOTHING = Observations()


def traffic(executions=600, *, stable=5400, **more):
    """Healthy traffic on both arms since the last look."""
    return Observations(
        **{
            "candidate": ArmCounts(executions=executions),
            "stable": ArmCounts(executions=stable),
            "slow": Tally(trials=executions),
            "stable_p99_ms": 4.0,
            **more,
        }
    )


def command(kind, name="c1", reason=""):
    return Command(command_id=name, kind=kind, reason=reason)


def at_stage(number, plan=PLAN, **more):
    progress = Progress(
        rollout_id=plan.rollout_id,
        phase=Phase.STAGE,
        stage=number,
        started_at_s=NOW_S,
        slow_above_ms=8.0,
    )
    return replace(progress, **more)


def test_a_good_candidate_goes_through_every_step_to_promotion():
    progress, now_s, steps = begin(PLAN, now_s=NOW_S), NOW_S, []

    for seen in (Observations(pairs=BETTER), traffic(), traffic(), traffic(stable=0)):
        now_s += HOUR_S
        action = next_action(PLAN, progress, seen, now_s)
        progress = action.progress
        steps.append((action.kind, action.verdict, progress.weight(PLAN)))

    assert steps == [
        (ActionKind.ADVANCE, Verdict.PASS, 0.1),
        (ActionKind.ADVANCE, Verdict.PASS, 0.5),
        (ActionKind.ADVANCE, Verdict.PASS, 1.0),
        (ActionKind.PROMOTE, Verdict.PASS, 1.0),
    ]
    assert progress.phase is Phase.PROMOTED


def test_the_shadow_gives_the_candidate_no_traffic():
    action = next_action(PLAN, begin(PLAN, now_s=NOW_S), NOTHING, NOW_S + HOUR_S)

    assert (action.kind, action.progress.weight(PLAN)) == (ActionKind.WAIT, 0.0)
    assert action.reason == "0 of 50 inputs compared; not shown yet: no shadow runs yet"


def test_a_candidate_that_is_worse_in_the_shadow_never_gets_traffic():
    worse = PairCounts(agreed=90, disagreed=12, candidate_right=1, stable_right=11)

    action = next_action(PLAN, begin(PLAN, now_s=NOW_S), Observations(pairs=worse), NOW_S)

    assert (action.kind, action.verdict) == (ActionKind.ROLL_BACK, Verdict.FAIL)
    assert "stable alone in 11" in action.reason
    assert action.progress.phase is Phase.ROLLED_BACK


def test_few_inputs_are_not_enough_however_clear_the_labels():
    few = PairCounts(agreed=10, disagreed=12, candidate_right=12)

    action = next_action(PLAN, begin(PLAN, now_s=NOW_S), Observations(pairs=few), NOW_S)

    assert (action.kind, action.reason) == (ActionKind.WAIT, "22 of 50 inputs compared")


def test_versions_too_alike_are_withdrawn_when_the_labels_are_spent():
    alike = PairCounts(agreed=900, disagreed=400, candidate_right=200, stable_right=200)

    action = next_action(PLAN, begin(PLAN, now_s=NOW_S), Observations(pairs=alike), NOW_S)

    assert (action.kind, action.verdict) == (ActionKind.ROLL_BACK, Verdict.INCONCLUSIVE)
    assert action.reason.startswith("no difference shown by 400 labels")


def test_a_plan_without_shadow_starts_with_traffic():
    plan = Plan(rollout_id="r1", shadow=None)

    progress = begin(plan, now_s=NOW_S)

    assert (progress.phase, progress.stage, progress.weight(plan)) == (Phase.STAGE, 1, 0.1)


@pytest.mark.parametrize(
    ("seen", "elapsed_s", "reason"),
    [
        (NOTHING, HOUR_S, "no traffic yet at 10.0 %"),
        (traffic(499), HOUR_S, "499 of 500 executions"),
        (traffic(600), 60.0, "540 s more of this stage"),
        (traffic(600), -60.0, "660 s more of this stage"),
        (traffic(600, stable=0), HOUR_S, "not shown yet: errors: no executions to compare yet"),
    ],
)
def test_a_stage_waits_for_what_is_missing(seen, elapsed_s, reason):
    action = next_action(PLAN, at_stage(1), seen, NOW_S + elapsed_s)

    assert (action.kind, action.verdict) == (ActionKind.WAIT, Verdict.INCONCLUSIVE)
    assert action.reason.startswith(reason)
    assert action.progress.stage == 1


def test_what_is_not_shown_is_no_pass():
    uneasy = traffic(600, candidate=ArmCounts(executions=600, errors=12))

    action = next_action(PLAN, at_stage(1), uneasy, NOW_S + HOUR_S)

    assert action.kind is ActionKind.WAIT
    assert action.reason == "not shown yet: errors 2.0 % against 0.0 %, 12 of 600"


BAD = [
    (ArmCounts(executions=40, errors=30), Tally(trials=40), "errors 75.0 % against 0.0 %"),
    (ArmCounts(executions=40, timeouts=30), Tally(trials=40), "timeouts 75.0 % against 0.0 %"),
    (ArmCounts(executions=40), Tally(hits=30, trials=40), "75.0 % of calls slower than 8.0 ms"),
    (
        ArmCounts(executions=100, labels=100, failures=70),
        Tally(trials=100),
        "wrong answers 70.0 % against 10.0 %",
    ),
]
STABLE = ArmCounts(executions=5000, labels=250, failures=25)


@pytest.mark.parametrize(("candidate", "slow", "reason"), BAD)
@pytest.mark.parametrize("is_paused", [False, True])
def test_any_harm_rolls_back_at_once_even_when_paused(candidate, slow, reason, is_paused):
    seen = Observations(candidate=candidate, stable=STABLE, slow=slow)

    action = next_action(PLAN, at_stage(1, is_paused=is_paused), seen, NOW_S + 1)

    assert (action.kind, action.verdict) == (ActionKind.ROLL_BACK, Verdict.FAIL)
    assert action.reason.startswith(reason)
    assert action.progress.weight(PLAN) == 0.0


def test_shadow_runs_that_fail_roll_back_before_any_traffic():
    seen = Observations(candidate=BAD[0][0], stable=STABLE, slow=BAD[0][1])

    action = next_action(PLAN, begin(PLAN, now_s=NOW_S), seen, NOW_S + 1)

    assert action.kind is ActionKind.ROLL_BACK


def test_the_last_stage_compares_with_the_stable_version_of_the_stage_before():
    seen = traffic(stable=5400)
    entered = next_action(PLAN, at_stage(2), seen, NOW_S + HOUR_S).progress

    action = next_action(
        PLAN, entered, Observations(candidate=BAD[1][0], slow=BAD[1][1]), NOW_S + HOUR_S
    )

    assert entered.stable.executions == 5400
    assert entered.candidate.executions == 0
    assert action.kind is ActionKind.ROLL_BACK


def test_a_drift_at_full_traffic_is_not_blamed_on_the_candidate():
    before = at_stage(2, stable=STABLE)
    entered = next_action(PLAN, before, traffic(), NOW_S + HOUR_S).progress
    drifted = traffic(600, stable=0, candidate=ArmCounts(executions=600, labels=60, failures=40))

    action = next_action(PLAN, entered, drifted, NOW_S + 2 * HOUR_S)

    assert action.kind is ActionKind.PROMOTE


def test_what_slow_means_is_fixed_while_a_stage_counts():
    first = next_action(PLAN, at_stage(1, slow_above_ms=None), traffic(), NOW_S).progress
    later = next_action(PLAN, first, traffic(stable_p99_ms=50.0), NOW_S).progress
    entered = next_action(PLAN, later, traffic(stable_p99_ms=50.0), NOW_S + HOUR_S).progress

    assert (first.slow_above_ms, later.slow_above_ms) == (8.0, 8.0)
    assert (entered.stage, entered.slow_above_ms) == (2, 100.0)


def test_a_pause_holds_and_resuming_goes_on():
    pause, resume = command(CommandKind.PAUSE, "c1"), command(CommandKind.RESUME, "c2")

    paused = next_action(PLAN, at_stage(1), traffic(commands=(pause,)), NOW_S + HOUR_S)
    held = next_action(PLAN, paused.progress, Observations(commands=(pause,)), NOW_S + HOUR_S)
    resumed = next_action(
        PLAN, held.progress, Observations(commands=(pause, resume)), NOW_S + HOUR_S
    )
    going = next_action(
        PLAN, resumed.progress, Observations(commands=(pause, resume)), NOW_S + HOUR_S
    )

    assert [a.kind for a in (paused, held, resumed, going)] == [
        ActionKind.PAUSE,
        ActionKind.WAIT,
        ActionKind.RESUME,
        ActionKind.ADVANCE,
    ]
    assert (held.verdict, held.reason[:7]) == (Verdict.PASS, "paused;")


def test_forcing_goes_exactly_one_step_without_evidence():
    force = Observations(commands=(command(CommandKind.FORCE, reason="too little traffic"),))

    forced = next_action(PLAN, at_stage(1), force, NOW_S)
    again = next_action(PLAN, forced.progress, force, NOW_S)

    assert (forced.kind, forced.verdict) == (ActionKind.ADVANCE, Verdict.INCONCLUSIVE)
    assert forced.reason == "force from home: too little traffic"
    assert (again.kind, again.progress.stage) == (ActionKind.WAIT, 2)


def test_forcing_does_not_pass_a_failure():
    seen = Observations(candidate=BAD[0][0], stable=STABLE, commands=(command(CommandKind.FORCE),))

    assert next_action(PLAN, at_stage(1), seen, NOW_S).kind is ActionKind.ROLL_BACK


@pytest.mark.parametrize("progress", [begin(PLAN, now_s=NOW_S), at_stage(3, is_paused=True)])
def test_aborting_rolls_back_from_anywhere_and_is_no_failure(progress):
    commands = command(CommandKind.FORCE, "c1"), command(CommandKind.ABORT, "c2", "wrong task")

    action = next_action(PLAN, progress, Observations(commands=commands), NOW_S)

    assert (action.kind, action.verdict) == (ActionKind.ROLL_BACK, Verdict.INCONCLUSIVE)
    assert action.reason == "abort from home: wrong task"


def test_a_plan_by_hand_waits_for_a_command_at_every_step():
    plan = replace(PLAN, is_automatic=False)

    waiting = next_action(plan, at_stage(1), traffic(), NOW_S + HOUR_S)
    forced = next_action(
        plan,
        waiting.progress,
        Observations(commands=(command(CommandKind.FORCE),)),
        NOW_S + HOUR_S,
    )

    assert (waiting.kind, waiting.verdict) == (ActionKind.WAIT, Verdict.PASS)
    assert waiting.reason.startswith("waits for a command")
    assert forced.kind is ActionKind.ADVANCE


def test_what_is_over_stays_over():
    over = next_action(
        PLAN, at_stage(1), Observations(commands=(command(CommandKind.ABORT),)), NOW_S
    ).progress

    action = next_action(
        PLAN, over, traffic(commands=(command(CommandKind.FORCE, "c2"),)), NOW_S + HOUR_S
    )

    assert (action.kind, action.progress) == (ActionKind.WAIT, over)


def test_the_progress_of_another_rollout_is_refused():
    with pytest.raises(ValueError, match="progress of r1 under plan r2"):
        next_action(Plan(rollout_id="r2"), at_stage(1), NOTHING, NOW_S)


def test_a_plan_survives_json_without_a_shadow_and_with_settings():
    plans = (
        Plan(rollout_id="r1", shadow=None),
        Plan(
            rollout_id="r2",
            stages=(Stage(weight=0.3, min_executions=5, min_duration_s=0.0),),
            shadow=Shadow(test=DiscordanceTest(margin=0.02), min_pairs=5),
        ),
    )

    assert [Plan.from_json(json.loads(json.dumps(p.as_json()))) for p in plans] == list(plans)


@pytest.mark.parametrize("document", [{}, {"phase": "stage"}, {"phase": "gone"}, []])
def test_a_damaged_document_is_a_value_error(document):
    with pytest.raises(ValueError, match=r"not a|'gone'"):
        Progress.from_json(document)
    with pytest.raises(ValueError, match="not a rollout plan"):
        Plan.from_json(document)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Plan(rollout_id="r1", stages=()),
        lambda: Plan(rollout_id="r1", stages=(Stage(weight=0.5), Stage(weight=0.1))),
        lambda: Stage(weight=0.0),
        lambda: Stage(weight=0.5, min_executions=0),
        lambda: Shadow(max_labels=0),
    ],
)
def test_a_plan_that_could_not_be_followed_is_refused(broken):
    with pytest.raises(ValueError, match=r"need|at least"):
        broken()
