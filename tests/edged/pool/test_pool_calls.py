"""What a caller gets: results, errors, limits of the queue, deadlines."""

import asyncio
import json
import math
import os
from collections import Counter
from collections.abc import Callable

import pytest

from edged.pool.pool import (
    IsolationTooWeak,
    Outcome,
    Pool,
    PoolFull,
    PoolStopped,
    ProgramSource,
    Result,
    UnknownProgram,
)
from edged.pool.settings import PoolSettings
from edged.sandbox.refusals import ProgramRefused

ECHO = ProgramSource(source="def run(input_data):\n    return input_data\n")
SPIN = ProgramSource(source="def run(input_data):\n    while True: pass\n")
SLOW = ProgramSource(
    source="def run(input_data):\n"
    "    total = 0\n"
    "    for number in range(400_000): total += number\n"
    "    return input_data\n"
)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.001)


async def gather(pool: Pool, key: str, inputs: list[bytes]) -> list[Result]:
    async with asyncio.TaskGroup() as calls:
        tasks = [calls.create_task(pool.call(key, text)) for text in inputs]
    return [task.result() for task in tasks]


async def test_a_call_returns_the_programs_output_as_json(pool):
    await pool.load("echo", ECHO)

    result = await pool.call("echo", b'{"text": "h\xc3\xa9llo", "n": 1}')

    assert result.outcome is Outcome.SUCCESS
    assert result.output_json == '{"text":"héllo","n":1}'.encode()
    assert result.confidence is None
    assert 0 < result.run_ms < 300


async def test_a_thousand_calls_are_each_answered_once_with_their_own_output(pool):
    await pool.load("echo", ECHO)

    results = await gather(pool, "echo", [str(number).encode() for number in range(1000)])

    assert [json.loads(result.output_json) for result in results] == list(range(1000))


async def test_a_large_input_and_output_pass(pool):
    await pool.load("echo", ECHO)
    text = b'"' + b"x" * 900_000 + b'"'

    result = await pool.call("echo", text)

    assert result.output_json == text


async def test_confidence_is_split_from_the_output_where_the_program_returns_it(pool):
    source = 'def run(input_data):\n    return {"output": "spam", "confidence": 0.75}\n'
    await pool.load("sure", ProgramSource(source=source, returns_confidence=True))

    result = await pool.call("sure", b"1")

    assert (result.output_json, result.confidence) == (b'"spam"', 0.75)


async def test_an_exception_is_an_outcome_with_its_type_and_message(pool):
    source = 'def run(input_data):\n    raise ValueError("no " + input_data)\n'
    await pool.load("raise", ProgramSource(source=source))

    result = await pool.call("raise", b'"luck"')

    assert result.outcome is Outcome.ERROR
    assert (result.error_type, result.error_message) == ("ValueError", "no luck")


async def test_an_output_that_is_not_json_is_an_error(pool):
    await pool.load("set", ProgramSource(source="def run(input_data):\n    return {1}\n"))

    result = await pool.call("set", b"1")

    assert result.outcome is Outcome.ERROR
    assert "set" in result.error_message


async def test_malformed_input_is_an_error_of_that_call_alone(pool):
    await pool.load("echo", ECHO)

    bad, good = await gather(pool, "echo", [b"{", b"{}"])

    assert (bad.outcome, good.outcome) == (Outcome.ERROR, Outcome.SUCCESS)


async def test_a_refused_program_names_line_and_column(pool):
    with pytest.raises(ProgramRefused) as refused:
        await pool.load("os", ProgramSource(source="x = 1\nimport os\ndef run(i): return i\n"))

    assert [(refusal.line, refusal.column) for refusal in refused.value.refusals] == [(2, 1)]
    assert "os" in refused.value.refusals[0].what


async def test_loading_again_does_nothing(pool):
    await pool.load("echo", ECHO)
    pids = pool.worker_pids("echo")

    await asyncio.gather(pool.load("echo", ECHO), pool.load("echo", ECHO))

    assert pool.worker_pids("echo") == pids


async def test_an_unloaded_program_finishes_what_waits_and_takes_nothing_new(pool):
    await pool.load("echo", ECHO)
    results: list[Result] = []
    for _ in range(100):
        pool.submit("echo", b"1", results.append)

    pool.unload("echo")

    with pytest.raises(UnknownProgram):
        pool.submit("echo", b"1", results.append)
    await until(lambda: len(results) == 100)
    assert {result.outcome for result in results} == {Outcome.SUCCESS}


async def test_an_unknown_program_is_refused(pool):
    with pytest.raises(UnknownProgram):
        pool.submit("nobody", b"1", print)


async def test_a_full_queue_refuses_at_once():
    async with Pool(PoolSettings(queue_calls=2, workers_per_version=1)) as pool:
        await pool.load("echo", ECHO)
        results: list[Result] = []
        pool.submit("echo", b"1", results.append)
        pool.submit("echo", b"2", results.append)

        with pytest.raises(PoolFull):
            pool.submit("echo", b"3", results.append)

        await until(lambda: len(results) == 2)


async def test_a_deadline_that_passes_in_the_queue_is_the_callers_and_runs_nothing():
    settings = PoolSettings(time_limit_ms=200, workers_per_version=1)
    async with Pool(settings) as pool:
        await pool.load("spin", SPIN)
        loop = asyncio.get_running_loop()
        late: asyncio.Future[Result] = loop.create_future()
        first = loop.create_task(pool.call("spin", b"1"))
        await asyncio.sleep(0)

        pool.submit("spin", b"2", late.set_result, deadline_s=loop.time() + 0.03)
        result = await late

        assert result.outcome is Outcome.TIMEOUT
        assert (result.cut_by_caller, result.run_ms) == (True, 0)
        assert not first.done()
        assert (await first).cut_by_caller is False


async def test_a_deadline_that_passes_while_running_cuts_the_program(pool):
    await pool.load("spin", SPIN)
    loop = asyncio.get_running_loop()
    cut: asyncio.Future[Result] = loop.create_future()

    pool.submit("spin", b"1", cut.set_result, deadline_s=loop.time() + 0.05)
    result = await cut

    assert result.outcome is Outcome.TIMEOUT
    assert result.cut_by_caller is True
    assert 0 < result.run_ms < 300


async def test_a_caller_can_lower_the_time_limit(pool):
    await pool.load("spin", SPIN)

    result = await pool.call("spin", b"1", time_limit_ms=20)

    assert result.outcome is Outcome.TIMEOUT
    assert 20 <= result.run_ms < 300
    assert result.cut_by_caller is False


@pytest.mark.parametrize(
    "terms",
    [
        {"deadline_s": 3.6e11},
        {"deadline_s": math.inf},
        {"time_limit_ms": 3.6e14},
        {"time_limit_ms": math.inf},
    ],
)
async def test_a_caller_who_would_wait_for_ages_costs_nobody_an_answer(pool, terms):
    await pool.load("echo", ECHO)
    results: list[Result] = []

    pool.submit("echo", b"1", results.append)
    pool.submit("echo", b"2", results.append, **terms)
    pool.submit("echo", b"3", results.append)
    await until(lambda: len(results) == 3)

    assert [result.output_json for result in results] == [b"1", b"2", b"3"]


async def test_a_time_limit_of_ages_is_a_limit_all_the_same():
    async with Pool(PoolSettings(time_limit_ms=3.6e14)) as pool:
        await pool.load("echo", ECHO)

        result = await pool.call("echo", b"1")

        assert result.output_json == b"1"


async def test_a_time_limit_counts_from_the_calls_own_start(pool):
    source = "def run(input_data):\n    while input_data == 'spin': pass\n"
    await pool.load("spin", ProgramSource(source=source))
    await pool.call("spin", b'"quick"')
    await asyncio.sleep(0.1)

    whole = await pool.call("spin", b'"spin"')
    await pool.call("spin", b'"quick"')
    short = await pool.call("spin", b'"spin"', time_limit_ms=20)

    assert (whole.outcome, short.outcome) == (Outcome.TIMEOUT, Outcome.TIMEOUT)
    assert whole.run_ms >= 500
    assert 20 <= short.run_ms < 300


async def test_waiting_calls_bring_more_workers():
    async with Pool(PoolSettings(workers_per_version=3, grow_after_ms=5)) as pool:
        await pool.load("slow", SLOW)

        results = await gather(pool, "slow", [b"1"] * 12)

        assert Counter(result.outcome for result in results) == {Outcome.SUCCESS: 12}
        assert len(pool.worker_pids("slow")) == 3


async def test_workers_of_slow_programs_step_aside_for_those_of_quick_ones(pool):
    source = """
from datetime import datetime, timedelta
def run(input_data):
    end = datetime.now() + timedelta(milliseconds=150)
    while datetime.now() < end: pass
"""
    await pool.load("echo", ECHO)
    await pool.load("slow", ProgramSource(source=source))

    await gather(pool, "echo", [b"1"] * 10)
    await gather(pool, "slow", [b"1"] * 2)

    (quick,), slow = pool.worker_pids("echo"), pool.worker_pids("slow")
    assert os.getpriority(os.PRIO_PROCESS, quick) == 0
    assert os.getpriority(os.PRIO_PROCESS, slow[0]) > 0


async def test_a_version_that_is_quiet_again_keeps_one_worker():
    async with Pool(PoolSettings(grow_after_ms=5, shrink_after_s=0.01)) as pool:
        await pool.load("slow", SLOW)
        await gather(pool, "slow", [b"1"] * 8)
        assert len(pool.worker_pids("slow")) > 1

        await until(lambda: len(pool.worker_pids("slow")) == 1)
        result = await pool.call("slow", b"1")

        assert result.outcome is Outcome.SUCCESS


async def test_a_new_program_gets_the_worker_of_an_idle_one_when_there_are_no_more():
    async with Pool(PoolSettings(workers_per_version=1, max_workers=1)) as pool:
        await pool.load("first", ECHO)
        await pool.load("second", ECHO)

        results = [await pool.call(key, b"1") for key in ("first", "second", "first")]

        assert {result.outcome for result in results} == {Outcome.SUCCESS}


async def test_a_callback_that_raises_costs_nobody_else_the_answer(pool):
    await pool.load("echo", ECHO)

    def fail(_result: Result) -> None:
        raise RuntimeError

    pool.submit("echo", b"1", fail)
    result = await pool.call("echo", b"2")

    assert result.output_json == b"2"


async def test_a_pool_that_stops_answers_what_waits():
    results: list[Result] = []
    async with Pool(PoolSettings(time_limit_ms=5000)) as pool:
        await pool.load("spin", SPIN)
        for _ in range(3):
            pool.submit("spin", b"1", results.append)
        await asyncio.sleep(0.02)

    assert [result.error_type for result in results] == ["pool_stopped"] * 3


async def test_a_pool_that_stops_answers_what_an_unloaded_program_still_held():
    results: list[Result] = []
    async with Pool(PoolSettings(time_limit_ms=5000)) as pool:
        await pool.load("spin", SPIN)
        pool.submit("spin", b"1", results.append)
        await asyncio.sleep(0.02)
        pool.unload("spin")

    assert [result.error_type for result in results] == ["pool_stopped"]


async def test_a_stopped_pool_loads_nothing():
    async with Pool(PoolSettings()) as pool:
        pass

    with pytest.raises(PoolStopped):
        await pool.load("echo", ECHO)


async def test_a_required_barrier_that_is_missing_stops_the_pool(monkeypatch):
    monkeypatch.setattr("edged.pool.report.JailReport.holds", lambda _self, name: name != "seccomp")

    with pytest.raises(IsolationTooWeak, match="seccomp"):
        async with Pool(PoolSettings()):
            pass


async def test_the_report_names_what_holds_here(pool):
    report = pool.jail_report

    assert report.missing(PoolSettings().require) == []
    assert set(report.kills) == {"socket", "fork", "exec", "signal"}


async def test_statistics_count_what_happened(pool):
    await pool.load("echo", ECHO)
    await gather(pool, "echo", [b"1"] * 10)
    await pool.load("spin", SPIN)
    await pool.call("spin", b"1")

    stats = pool.stats()

    assert (stats.by_key["echo"].executions, stats.by_key["spin"].executions) == (10, 1)
    assert stats.executions == 11
    assert (stats.queued, stats.running) == (0, 0)
