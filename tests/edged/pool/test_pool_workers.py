"""Which worker gets the calls, and how workers of a version come and go."""

import asyncio

from edged.pool.pool import Pool, ProgramSource, Result
from edged.pool.settings import PoolSettings
from tests.edged.pool.test_pool_calls import gather, until

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
