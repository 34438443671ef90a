"""The contract of a ProgramRunner, held by the pool's and by the fake that stands in for it."""

from collections.abc import AsyncIterator

import pytest

from controlplane.generator.errors import CandidateRefused
from controlplane.generator.evaluator import PoolRunner, evaluate
from controlplane.generator.ml import MlGenerator
from controlplane.generator.portfolio import generate
from controlplane.generator.protocol import Candidate, Example, ProgramRunner
from controlplane.generator.rule import RuleGenerator
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from tests.controlplane.generator.conftest import quiet
from tests.fakes.plain_runner import PlainRunner

UPPER = "def run(value):\n    return value['text'].upper()\n"
SURE = "def run(value):\n    return {'output': [value['text'], 1.0], 'confidence': 0.5}\n"
FAILING = "def run(value):\n    return 1 / value['zero']\n"
OPENING = "def run(value):\n    return open('/etc/passwd').read()\n"
ENDLESS = "def run(value):\n    while True:\n        pass\n"


@pytest.fixture
async def pool_runner() -> AsyncIterator[PoolRunner]:
    async with Pool(PoolSettings(workers_per_version=2, spare_workers=0)) as pool:
        yield PoolRunner(pool, time_limit_ms=200)


@pytest.fixture(params=["plain", "pool"])
async def runner(request: pytest.FixtureRequest) -> AsyncIterator[ProgramRunner]:
    if request.param == "plain":
        yield PlainRunner(refused="open(")
        return
    async with Pool(PoolSettings(workers_per_version=1, spare_workers=0)) as pool:
        yield PoolRunner(pool)


def candidate(source: str, *, returns_confidence: bool = False) -> Candidate:
    return Candidate(
        strategy="rule",
        source=source,
        returns_confidence=returns_confidence,
        complexity={},
        explanation="",
    )


async def test_output_comes_back_as_json(runner):
    key = await runner.load(UPPER, returns_confidence=False)

    run = await runner.run(key, b'{"text": "refund"}')

    assert (run.output_json, run.failure) == (b'"REFUND"', None)


async def test_confidence_is_not_part_of_the_output(runner):
    rows = [Example(input={"text": "a"}, output=["a", 1.0])]

    marks = await evaluate(candidate(SURE, returns_confidence=True), rows, runner, quiet)

    assert marks.right == (True,)


async def test_failure_of_the_program_is_told_and_the_next_call_answered(runner):
    key = await runner.load(FAILING, returns_confidence=False)

    failed = await runner.run(key, b'{"zero": 0}')
    answered = await runner.run(key, b'{"zero": 2}')

    assert failed.output_json is None
    assert "ZeroDivisionError" in (failed.failure or "")
    assert answered.output_json == b"0.5"


async def test_forbidden_program_is_refused_with_a_reason(runner):
    with pytest.raises(CandidateRefused) as refusal:
        await runner.load(OPENING, returns_confidence=False)

    assert "open" in refusal.value.reason
    assert "not allowed" in refusal.value.reason


async def test_marks_follow_the_order_of_the_rows(runner):
    rows = [Example(input={"text": f"t{row}"}, output=f"T{row % 5}") for row in range(100)]

    marks = await evaluate(candidate(UPPER), rows, runner, quiet)

    assert marks.right == tuple(row < 5 for row in range(100))
    assert marks.failures == 0
    assert 0 < marks.run_ms_p50 <= marks.run_ms_p99


async def test_types_of_outputs_are_compared_exactly(runner):
    rows = [Example(input={"zero": 1}, output=output) for output in (1.0, 1, True, "1.0")]

    marks = await evaluate(candidate(FAILING), rows, runner, quiet)

    assert marks.right == (True, False, False, False)


async def test_endless_program_is_wrong_and_does_not_stop_the_evaluation(pool_runner):
    rows = [Example(input={"text": "a"}, output="a")] * 2

    marks = await evaluate(candidate(ENDLESS), rows, pool_runner, quiet)

    assert marks.right == (False, False)
    assert all("TIMEOUT" in (run.failure or "") for run in marks.runs)


async def test_emitted_programs_answer_in_the_jail_as_in_plain_python(
    pool_runner, messages, task, load_program
):
    rows = [*messages(90), Example(input={"text": "ünïcödé 漢字 🙂 £5"}, output="login")]

    for generator in (RuleGenerator(), MlGenerator()):
        proposed = generator.propose(task, rows[:60], quiet)
        run = load_program(proposed.source)
        plain = [Example(input=row.input, output=run(row.input)["output"]) for row in rows]
        marks = await evaluate(proposed, plain, pool_runner, quiet)
        assert all(marks.right)


async def test_whole_generation_runs_in_the_jail(pool_runner, messages, task):
    generation = await generate(
        task, messages(120), [RuleGenerator(), MlGenerator()], pool_runner, lambda *_: None
    )

    assert generation.scores[generation.candidate.strategy]["final"]["accuracy"] > 0.9
    assert generation.scores["ml"]["failures"] == 0
