"""Oracles that are down, slow, wrong or stuck, and a disk that refuses: nothing is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog
from tests.fakes.http_oracle import HANG_UP, HttpOracleServer
from tests.fakes.validating import HASTY, is_followed_to_end, until, validating

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z


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

    def start(**fields: object):
        settings = {"oracle": "http", "url": oracle.url, **fields}
        return validating(layout, clock, {"spam": settings})

    return start


async def test_an_oracle_that_is_down_delays_and_never_drops(start, executions, oracle):
    ids = executions.append(50)
    await oracle.stop()

    async with start() as validators:
        await until(lambda: validators.counts["spam"].attempts_failed > 100)
        waiting = len(executions.validations())
        taken_on = validators.counts["spam"].drawn
        await oracle.start()
        await until(lambda: is_followed_to_end(executions))

    assert waiting == 0
    assert taken_on <= HASTY.window_samples + 1  # the one that waits to be let in
    assert sorted(line["execution_id"] for line in executions.validations()) == sorted(ids)
    assert validators.counts["spam"].skipped == {}


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_an_oracle_that_fails_for_a_while_is_asked_again(start, executions, oracle, status):
    oracle.failures = [status] * 40
    executions.append(3)

    async with start():
        await until(lambda: len(executions.validations()) == 3)

    assert all(line["match"] for line in executions.validations())


@pytest.mark.parametrize(
    "answer", [b"", b"not json", b'"ham"', b"{}", b'{"output": "ham", "cost": "free"}']
)
async def test_a_wrong_answer_is_no_label(start, executions, oracle, answer):
    oracle.raw_answer = answer
    executions.append()

    async with start() as validators:
        await until(lambda: validators.counts["spam"].attempts_failed > 20)
        unlabelled = executions.validations()
        oracle.raw_answer = None
        await until(executions.validations)

    assert unlabelled == []
    assert [line["oracle_output"] for line in executions.validations()] == ["ham"]


async def test_an_answer_that_comes_too_late_is_no_label(start, executions, oracle):
    oracle.delay_s = 0.2
    executions.append()

    async with start(timeout_ms=20) as validators:
        await until(lambda: validators.counts["spam"].attempts_failed > 3)
        unlabelled = executions.validations()
        oracle.delay_s = 0
        await until(executions.validations)

    assert unlabelled == []


@pytest.mark.parametrize("trouble", [500, HANG_UP])
async def test_one_question_that_always_fails_is_given_up_once_others_are_answered(
    start, executions, oracle, trouble
):
    oracle.refuses = lambda given: trouble if given["text"] == "0" else 0
    poison, *ids = executions.append(30)

    async with start() as validators:
        await until(lambda: is_followed_to_end(executions))

    assert sorted(line["execution_id"] for line in executions.validations()) == sorted(ids)
    assert validators.counts["spam"].skipped == {"given_up": 1}
    assert oracle.asked.count(poison) >= HASTY.patience.give_up_attempts


async def test_a_question_that_the_oracle_refuses_is_skipped_and_counted(start, executions, oracle):
    oracle.refuses = lambda given: 422 if given["text"] == "0" else 0
    executions.append(2)

    async with start() as validators:
        await until(lambda: is_followed_to_end(executions))

    assert len(executions.validations()) == 1
    assert len(oracle.questions) == 2
    assert validators.counts["spam"].skipped == {"refused": 1}


async def test_a_failing_oracle_holds_up_no_other_task(start, executions, oracle, layout, clock):
    other = ExecutionLog(layout, clock, task="news")
    other.append(50)
    executions.append(20)
    down = {"oracle": "http", "url": "http://127.0.0.1:1/label"}
    missing = {"oracle": "program", "artifact": "absent.zip"}
    well = {"oracle": "http", "url": oracle.url}

    async with validating(layout, clock, {"news": down, "gone": missing, "spam": well}):
        await until(lambda: is_followed_to_end(executions))
    other.close()

    assert len(executions.validations()) == 20
    assert other.validations() == []


async def test_a_disk_that_refuses_delays_and_loses_nothing(start, executions, layout):
    ids = executions.append(5)
    folder = layout.log("spam", "validations")
    folder.write_text("a file where the folder should be")

    async with start():
        await asyncio.sleep(0.05)
        folder.unlink()
        await until(lambda: len(executions.validations()) == 5)

    assert sorted(line["execution_id"] for line in executions.validations()) == sorted(ids)


async def test_what_was_erased_while_its_oracle_was_down_is_not_asked(start, executions, oracle):
    erased, *kept = executions.append(3)
    await oracle.stop()

    async with start() as validators:
        await until(lambda: validators.counts["spam"].attempts_failed > 3)
        validators.forget_executions("spam", frozenset({erased}))
        await oracle.start()
        await until(lambda: is_followed_to_end(executions))

    assert sorted(oracle.asked) == sorted(kept)
    assert validators.counts["spam"].skipped == {"erased": 1}
