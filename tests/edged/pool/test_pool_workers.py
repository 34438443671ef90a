"""Which worker gets the calls, and how workers of a version come and go."""

import asyncio

from edged.pool.pool import Pool, ProgramSource, Result
from edged.pool.settings import Isolation, PoolSettings
from tests.edged.pool.test_pool_calls import ECHO, SPIN, gather, until

MOSTLY_QUICK = ProgramSource(
    source="def run(input_data):\n    while input_data == 'spin': pass\n    return input_data\n"
)


async def test_a_slow_call_of_a_quick_program_keeps_nobody_from_the_other_workers():
    settings = PoolSettings(workers_min=4, workers_per_version=4, time_limit_ms=3000)
    async with Pool(settings) as pool:
        await pool.load("quick", MOSTLY_QUICK)
        await until(lambda: pool.stats().by_key["quick"].workers == 4)
        await gather(pool, "quick", [b"1"] * 200)  # a first call takes long
        spun: list[Result] = []
        pool.submit("quick", b'"spin"', spun.append)
        await asyncio.sleep(0.05)  # until it runs

        for _ in range(20):
            await gather(pool, "quick", [b"1"] * 32)

        assert not spun
        await until(lambda: len(spun) == 1)


async def test_a_worker_serves_on_until_there_is_room_for_its_successor():
    settings = PoolSettings(
        workers_per_version=1, max_workers=2, recycle_after_calls=10, time_limit_ms=2000
    )
    async with Pool(settings) as pool:
        await pool.load("quick", MOSTLY_QUICK)
        await pool.load("spin", SPIN)
        (first,) = pool.worker_pids("quick")
        spun: list[Result] = []
        pool.submit("spin", b"1", spun.append)
        await asyncio.sleep(0)  # until it is handed over

        while not spun:
            await pool.call("quick", b"1")
            assert spun or pool.worker_pids("quick") == [first]

        while first in pool.worker_pids("quick"):
            assert (await pool.call("quick", b"1")).output_json == b"1"


async def test_fresh_workers_come_back_where_one_version_has_all_there_are():
    settings = PoolSettings(
        isolation=Isolation.PER_REQUEST, workers_per_version=2, max_workers=2, spare_workers=0
    )
    async with Pool(settings) as pool:
        await pool.load("echo", ECHO)

        for _ in range(3):
            await until(lambda: pool.stats().by_key["echo"].workers == 2)
            await gather(pool, "echo", [b"1"] * 2)

        await until(lambda: pool.stats().by_key["echo"].workers == 2)


async def test_versions_that_miss_their_minimum_do_not_take_workers_from_each_other_for_ever():
    settings = PoolSettings(workers_min=2, workers_per_version=2, max_workers=3)
    async with Pool(settings) as pool:
        await pool.load("a", ECHO)
        await pool.load("b", ECHO)
        await until(lambda: len(pool.worker_pids("a") + pool.worker_pids("b")) == 3)
        pids = [pool.worker_pids(key) for key in "ab"]

        await asyncio.sleep(1.2)  # the pool looks once a second

        assert [pool.worker_pids(key) for key in "ab"] == pids
