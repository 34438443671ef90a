import json

import pytest

from controlplane.generator.errors import NoCandidate
from controlplane.generator.ml import MlGenerator
from controlplane.generator.portfolio import Generation, generate
from controlplane.generator.rule import RuleGenerator
from tests.fakes.plain_runner import PlainRunner
from tests.fakes.written_generator import WrittenGenerator, knowing_by_heart

GENERATORS = [MlGenerator(), RuleGenerator()]


def ignore(_status: str, _fraction: float) -> None:
    """Take a report of progress and do nothing."""


async def test_generation_is_scored_on_rows_that_made_and_chose_nothing(messages, task):
    by_heart = WrittenGenerator("ml", knowing_by_heart("wrong"))
    examples = messages(200)

    generation = await generate(task, examples, [by_heart], PlainRunner(), ignore)

    assert generation.n_sealed == 30
    assert generation.scores["ml"]["final"]["accuracy"] == 0.0
    assert by_heart.rows_given[-1] == 170


async def test_confidence_score_is_the_lower_end_of_the_interval(messages, task):
    generation = await generate(task, messages(300), [RuleGenerator()], PlainRunner(), ignore)

    final = generation.scores[generation.candidate.strategy]["final"]
    assert generation.confidence_score == generation.interval[0] < final["accuracy"]
    assert final["rows"] == "sealed"
    assert final["n"] == generation.n_sealed == 30
    assert not generation.is_low_evidence


async def test_simplest_of_equals_is_kept_and_all_scores_are_told(messages, task):
    generation = await generate(task, messages(300), GENERATORS, PlainRunner(), ignore)

    assert generation.candidate.strategy == "rule"
    assert set(generation.scores) == {"rule", "ml"}
    assert generation.scores["ml"]["accuracy"] > 0.9
    assert json.loads(json.dumps(generation.scores)) == generation.scores


async def test_better_strategy_beats_the_simpler(messages, task):
    poor = WrittenGenerator("rule", knowing_by_heart("billing"))

    generation = await generate(task, messages(200), [poor, MlGenerator()], PlainRunner(), ignore)

    assert generation.candidate.strategy == "ml"


async def test_few_examples_are_scored_by_cross_validation_and_marked(messages, task):
    generation = await generate(task, messages(48), [RuleGenerator()], PlainRunner(), ignore)

    final = generation.scores[generation.candidate.strategy]["final"]
    assert generation.is_low_evidence
    assert generation.n_sealed == 0
    assert final["rows"] == "cross-validation"
    assert final["n"] == 48
    assert generation.confidence_score < final["accuracy"]


async def test_self_test_holds_the_programs_own_outputs(messages, task, load_program):
    generation = await generate(task, messages(300), [RuleGenerator()], PlainRunner(), ignore)

    run = load_program(generation.candidate.source)
    assert len(generation.self_test) == 20
    assert all(run(test.input)["output"] == test.output for test in generation.self_test)
    assert {test.output for test in generation.self_test} == {"billing", "delivery", "login"}


async def test_same_examples_give_the_same_generation(messages, task):
    first = await generate(task, messages(150), GENERATORS, PlainRunner(), ignore)
    second = await generate(task, messages(150), GENERATORS, PlainRunner(), ignore)

    assert first.candidate == second.candidate
    assert first.interval == second.interval
    assert first.self_test == second.self_test


async def test_what_no_strategy_can_learn_is_refused_with_a_reason_each(messages, task):
    one_class = messages(60, topics=("login",))

    with pytest.raises(NoCandidate) as refusal:
        await generate(task, one_class, GENERATORS, PlainRunner(), ignore)

    assert set(refusal.value.reasons) == {"rule", "ml"}
    assert all("same output" in reason for reason in refusal.value.reasons.values())
    assert "same output" in str(refusal.value)


async def test_refused_candidate_is_dropped_with_the_sandbox_text(messages, task):
    runner = PlainRunner(refused="Strategy: rule")

    generation = await generate(task, messages(150), GENERATORS, runner, ignore)

    assert generation.candidate.strategy == "ml"
    assert "is not allowed" in generation.scores["rule"]["reason"]


async def test_nothing_is_left_when_all_candidates_are_refused(messages, task):
    runner = PlainRunner(refused="def run")

    with pytest.raises(NoCandidate, match="is not allowed"):
        await generate(task, messages(120), GENERATORS, runner, ignore)

    assert runner.loaded == 0


async def test_failing_program_is_wrong_and_not_fatal(messages, task):
    raising = WrittenGenerator("rule", lambda _: "def run(value):\n    return 1 / 0\n")
    generators = [raising, MlGenerator()]

    generation = await generate(task, messages(120), generators, PlainRunner(), ignore)

    assert generation.candidate.strategy == "ml"
    assert generation.scores["rule"]["accuracy"] == 0.0
    assert generation.scores["rule"]["failures"] == generation.scores["rule"]["n"]


async def test_progress_only_grows_through_training_and_evaluating(messages, task):
    told: list[tuple[str, float]] = []

    await generate(task, messages(120), GENERATORS, PlainRunner(), lambda *step: told.append(step))

    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert 0.9 < fractions[-1] <= 1.0
    assert {status for status, _ in told} == {"training", "evaluating"}


async def test_programs_are_unloaded_after_scoring(messages, task):
    runner = PlainRunner()

    generation = await generate(task, messages(60), [RuleGenerator()], runner, ignore)

    assert isinstance(generation, Generation)
    assert runner.loaded == 0
