"""Classes of isolation, minimum and warm workers, caps: on which terms a program is run."""

import asyncio
from pathlib import Path

import pytest

from edged.pool.pool import Outcome, Pool, PoolFull, ProgramSource, Result
from edged.pool.settings import Isolation, PoolSettings
from edged.pool.values import Placement
from edged.pool.zygote import Image
from tests.edged.pool.test_pool_calls import ECHO, SLOW, SPIN, gather, until

FRESH = Placement(isolation=Isolation.PER_REQUEST)


def placed(program: ProgramSource, placement: Placement) -> ProgramSource:
    return ProgramSource(source=program.source, placement=placement)


COUNTS = ProgramSource(
    source="CALLS = []\n\n\ndef run(input_data):\n    CALLS.append(1)\n    return len(CALLS)\n"
)


@pytest.mark.parametrize(
    ("placement", "counted"), [(FRESH, b"1111"), (Placement(isolation=None), b"1234")]
)
async def test_per_request_starts_every_call_afresh_even_without_the_language(placement, counted):
    image = Image(without=frozenset({"language"}))
    async with Pool(PoolSettings(workers_per_version=2), image) as pool:
        await pool.load("counts", placed(COUNTS, placement))

        results = [await pool.call("counts", b"1") for _ in range(4)]

        assert b"".join(result.output_json for result in results) == counted


async def test_per_request_answers_a_burst_and_its_errors():
    async with Pool(PoolSettings(workers_per_version=2, time_limit_ms=100)) as pool:
        await pool.load("echo", placed(ECHO, FRESH))
        await pool.load("spin", placed(SPIN, FRESH))

        good = await gather(pool, "echo", [b"1"] * 20)
        late = await gather(pool, "spin", [b"1"] * 3)

        assert {result.outcome for result in good} == {Outcome.SUCCESS}
        assert {result.outcome for result in late} == {Outcome.TIMEOUT}


async def test_the_pools_class_holds_for_programs_that_name_none():
    async with Pool(PoolSettings(isolation=Isolation.PER_REQUEST)) as pool:
        await pool.load("echo", ECHO)
        first = set(pool.worker_pids("echo"))

        for _ in range(4):
            await pool.call("echo", b"1")

        await until(lambda: not first & set(pool.worker_pids("echo")))


async def test_a_minimum_of_workers_is_there_and_stays():
    settings = PoolSettings(workers_min=2, shrink_after_s=0.01, sleep_after_s=0.02)
    async with Pool(settings) as pool:
        await pool.load("echo", ECHO)

        await until(lambda: pool.stats().by_key["echo"].workers == 2)
        await asyncio.sleep(1.2)  # the pool looks once a second

        assert pool.stats().by_key["echo"].workers == 2


def wakeups(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


async def test_a_quick_program_leaves_a_worker_that_it_does_not_need_asleep():
    async with Pool(PoolSettings(workers_min=2, workers_per_version=2)) as pool:
        await pool.load("echo", ECHO)
        await until(lambda: pool.stats().by_key["echo"].workers == 2)
        await gather(pool, "echo", [b"1"] * 200)  # a first call takes long
        pids = pool.worker_pids("echo")
        before = [wakeups(pid) for pid in pids]

        results: list[Result] = []
        for number in range(500):
            await until(lambda sent=number: sent - len(results) < 8)
            pool.submit("echo", b"1", results.append)
            await asyncio.sleep(0)  # the next one comes while this one runs
        await until(lambda: len(results) == 500)

        woken = [wakeups(pid) - then for pid, then in zip(pids, before, strict=True)]
        assert min(woken) < max(woken) / 4


async def test_a_version_that_sleeps_keeps_no_worker_and_wakes_at_a_call():
    async with Pool(PoolSettings(shrink_after_s=0.01, sleep_after_s=0.02)) as pool:
        await pool.load("echo", ECHO)

        await until(lambda: not pool.stats().by_key["echo"].workers)
        result = await pool.call("echo", b"1")

        assert result.output_json == b"1"


async def test_a_cap_on_calls_counts_those_that_wait_and_those_that_run():
    async with Pool(PoolSettings(time_limit_ms=200, workers_per_version=1)) as pool:
        await pool.load("spin", placed(SPIN, Placement(calls_limit=3)))
        await pool.load("echo", ECHO)
        results: list[Result] = []
        for _ in range(3):
            pool.submit("spin", b"1", results.append)
        await asyncio.sleep(0.05)

        with pytest.raises(PoolFull) as refused:
            pool.submit("spin", b"1", results.append)

        assert refused.value.facts["queued"] == 2
        assert refused.value.facts["running"] == 1
        assert (await pool.call("echo", b"1")).output_json == b"1"
        await until(lambda: len(results) == 3)
        pool.submit("spin", b"1", results.append)


async def test_a_queue_is_full_of_large_inputs_sooner():
    async with Pool(PoolSettings(queue_bytes=2_000, workers_per_version=1)) as pool:
        await pool.load("spin", placed(SPIN, Placement()))
        results: list[Result] = []
        pool.submit("spin", b"1", results.append, time_limit_ms=300)
        await asyncio.sleep(0)  # until it is handed over
        large = b'"' + b"x" * 1_000 + b'"'
        for _ in range(2):
            pool.submit("spin", large, results.append, time_limit_ms=10)

        with pytest.raises(PoolFull, match="2 calls of this program wait"):
            pool.submit("spin", b"1", results.append)

        await until(lambda: len(results) == 3)
        pool.submit("spin", b"1", results.append, time_limit_ms=10)
        await until(lambda: len(results) == 4)


async def test_a_full_queue_says_when_to_come_back():
    async with Pool(PoolSettings(queue_calls=8, workers_per_version=1)) as pool:
        await pool.load("slow", SLOW)
        await pool.call("slow", b"1")
        results: list[Result] = []
        for _ in range(8):
            pool.submit("slow", b"1", results.append)

        with pytest.raises(PoolFull, match="8 calls of this program wait already") as refused:
            pool.submit("slow", b"1", results.append)

        assert 10 < int(str(refused.value.facts["retry_after_ms"])) <= 5_000


async def test_a_cap_on_calls_refuses_in_words_that_hold_while_nobody_waits():
    async with Pool(PoolSettings(time_limit_ms=200)) as pool:
        await pool.load("spin", placed(SPIN, Placement(calls_limit=1)))
        results: list[Result] = []
        pool.submit("spin", b"1", results.append)
        await until(lambda: pool.stats().by_key["spin"].running == 1)

        with pytest.raises(PoolFull, match="as many calls of this program run and wait as may"):
            pool.submit("spin", b"1", results.append)

        await until(lambda: len(results) == 1)
