"""Samples from the log to the validation log, with real files and a real HTTP oracle."""

from collections.abc import AsyncIterator

import pytest

from edged.agent.privacy.modes import Mode
from edged.agent.store import ArtifactStore
from edged.agent.validations import validation_id
from edged.artifacts.archive import pack
from edged.deployment.checking import Sampling
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog
from tests.fakes.http_oracle import HttpOracleServer
from tests.fakes.validating import HASTY, is_checkpoint_there, is_followed_to_end, until, validating

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
FAILED = {"status": "error", "output_json": b"null", "error_type": "KeyError"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def executions(layout, clock):
    log = ExecutionLog(layout, clock)
    yield log
    log.close()


@pytest.fixture
async def oracle() -> AsyncIterator[HttpOracleServer]:
    async with HttpOracleServer(lambda _: "ham") as server:
        yield server


@pytest.fixture
def start(layout, clock, oracle):
    """Return a context in which one task's validator runs; leaving it kills the agent."""

    def start(*, mode: Mode = Mode.BALANCED, **fields: object):
        settings = {"oracle": "http", "url": oracle.url, **fields}
        return validating(layout, clock, {"spam": settings}, mode=mode)

    return start


async def test_a_sample_becomes_a_line_that_needs_no_look_up(start, executions, oracle):
    oracle.cost = 0.002
    [execution_id] = executions.append(confidence=0.75, output_json=b'"spam"')

    async with start():
        await until(executions.validations)

    [line] = executions.validations()
    assert line.pop("oracle_latency_ms") > 0
    assert line == {
        "id": validation_id(execution_id, "http"),
        "execution_id": execution_id,
        "program_id": None,
        "oracle_output": "ham",
        "oracle_cost": 0.002,
        "match": False,
        "similarity_score": 0.0,
        "comparison_method": "exact",
        "validated_at": "2026-11-23T12:00:00.000Z",
        "oracle": "http",
        "channel": "audit",
        "inclusion_probability": 1.0,
        "task": "spam",
        "version": 2,
        "arm": "stable",
        "input": {"text": "0"},
        "output": "spam",
        "confidence": 0.75,
        "status": "success",
        "executed_at": "2026-11-23T12:00:00.000Z",
    }
    assert oracle.questions == [
        {"task": "spam", "input": {"text": "0"}, "execution_id": execution_id}
    ]


async def test_the_line_names_the_program_that_is_on_this_disk(
    start, executions, layout, make_artifact
):
    stored = ArtifactStore(layout).add(pack(make_artifact(task="spam", version=2)))
    executions.append(version=stored.version)

    async with start():
        await until(executions.validations)

    assert executions.validations()[0]["program_id"] == "00000000-0000-7000-8000-000000000002"


async def test_the_file_is_named_as_specified(start, executions, layout):
    executions.append()

    async with start():
        await until(executions.validations)

    folder = layout.log("spam", "validations")
    assert [path.name for path in folder.iterdir()] == ["sampled-2026-11-23.jsonl"]


@pytest.mark.parametrize("truth", ["ham", None])
async def test_a_failed_execution_is_asked_about_and_a_failure_whatever_is_right(
    start, executions, oracle, truth
):
    oracle.label = lambda _: truth
    executions.append(**FAILED)

    async with start():
        await until(executions.validations)

    [line] = executions.validations()
    assert (line["match"], line["oracle_output"], line["status"]) == (False, truth, "error")
    assert len(oracle.questions) == 1


async def test_a_failed_execution_spends_the_budget_and_is_skipped_without_one(start, executions):
    executions.append(3)
    executions.append(5, **FAILED)

    async with start(budget_per_day=4) as validators:
        await until(lambda: is_followed_to_end(executions))

    assert sorted(line["match"] for line in executions.validations()) == [False, True, True, True]
    assert validators.counts["spam"].skipped == {"budget": 4}


async def test_where_no_input_may_leave_a_failed_execution_is_no_label_either(
    start, executions, oracle
):
    url = oracle.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 nobody binds it
    executions.append(2)
    executions.append(2, **FAILED)

    async with start(url=url, insecure=True, mode=Mode.STRICT) as validators:
        await until(lambda: is_followed_to_end(executions))

    assert executions.validations() == []
    assert validators.counts["spam"].skipped == {"refused": 4}


@pytest.mark.parametrize(("own", "limit"), [(0, 0), (50, 50), (1_000, 200)])
async def test_the_smaller_budget_holds_in_active_also_none_at_all(start, own, limit):
    async with start(budget_per_day=own) as validators:
        validators.resample(Sampling(strategy="active", budget_per_day=200))

        assert validators.status()["spam"]["today"]["questions_limit"] == limit


async def test_a_timeout_that_the_caller_cut_does_not_count(start, executions, oracle):
    executions.append(status="timeout", output_json=b"null", error_type="T", is_cut_by_caller=True)
    executions.append()

    async with start() as validators:
        await until(executions.validations)

    assert len(executions.validations()) == 1
    assert validators.counts["spam"].skipped == {"cut_by_caller": 1}


async def test_ignored_fields_and_tolerance_are_obeyed(start, executions, oracle):
    oracle.label = lambda _: {"label": "ham", "score": 0.5, "size": 1.0}
    executions.append(output_json=b'{"label": "ham", "score": 0.9, "size": 1.005}')
    executions.append(output_json=b'{"label": "ham", "score": 0.9, "size": 1.5}')

    async with start(comparison={"ignore": ["score"], "tolerance": 0.01}):
        await until(lambda: len(executions.validations()) == 2)

    assert sorted(line["match"] for line in executions.validations()) == [False, True]


async def test_a_malformed_line_is_counted_and_passed_over(start, executions):
    executions.write_raw(b"nonsense\n")
    executions.write_raw(b'{"execution_id": "not-a-uuid"}\n')
    executions.append()

    async with start() as validators:
        await until(lambda: is_followed_to_end(executions))

    assert len(executions.validations()) == 1
    assert validators.counts["spam"].skipped == {"malformed": 2}


async def test_a_restart_validates_everything_once_when_nothing_was_under_way(start, executions):
    ids = executions.append(20)
    async with start():
        await until(lambda: is_followed_to_end(executions))
    ids += executions.append(5)

    async with start():
        await until(lambda: is_followed_to_end(executions))

    assert sorted(line["execution_id"] for line in executions.validations()) == sorted(ids)


async def test_a_kill_while_asking_loses_nothing_and_repeats_the_same_ids(
    start, executions, oracle, layout
):
    ids = executions.append(100)
    oracle.delay_s = 0.005
    async with start():
        await until(lambda: len(executions.validations()) >= 30 and is_checkpoint_there(layout))
        # What a kill leaves: the checkpoint as it was at the last save, some lines after it.
        saved = (layout.state / "validator.json").read_bytes()
    (layout.state / "validator.json").write_bytes(saved)

    async with start():
        await until(lambda: is_followed_to_end(executions))

    lines = executions.validations()
    assert {line["execution_id"] for line in lines} == set(ids)
    assert len({line["id"] for line in lines}) == 100
    assert len(lines) <= 100 + 2 * HASTY.window_samples


async def test_a_spent_budget_skips_and_counts_until_the_next_day(start, executions, oracle, clock):
    executions.append(10)
    async with start(budget_per_day=4) as first:
        await until(lambda: is_followed_to_end(executions))
    async with start(budget_per_day=4) as second:  # a restart opens no new budget
        executions.append(1)
        await until(lambda: is_followed_to_end(executions))
        clock.advance(86_400)
        executions.append(1)
        await until(lambda: is_followed_to_end(executions))

    assert first.counts["spam"].skipped == {"budget": 6}
    assert second.counts["spam"].skipped == {"budget": 1}
    assert len(oracle.questions) == 5


async def test_few_questions_run_at_once(start, executions, oracle):
    oracle.delay_s = 0.01
    executions.append(40)

    async with start():
        await until(lambda: is_followed_to_end(executions))

    assert 1 < oracle.most_at_once <= HASTY.patience.asks_at_once


async def test_a_task_without_an_oracle_is_not_validated(start, executions, layout, clock, oracle):
    other = ExecutionLog(layout, clock, task="news")
    other.append(3)
    executions.append(3)

    async with start():
        await until(lambda: is_followed_to_end(executions))
    other.close()

    assert other.validations() == []
    assert len(oracle.questions) == 3


async def test_a_damaged_checkpoint_starts_anew(start, executions, layout):
    layout.state.mkdir(exist_ok=True)
    (layout.state / "validator.json").write_bytes(b"{")
    executions.append(3)

    async with start():
        await until(lambda: len(executions.validations()) == 3)

    assert len({line["id"] for line in executions.validations()}) == 3
