"""The examples that a new worker runs for nobody: before its first caller, and at no one's cost."""

import asyncio

from edged.pool.pool import Outcome, Pool, ProgramSource
from edged.pool.settings import PoolSettings
from edged.pool.values import Placement
from edged.pool.zygote import Image
from tests.edged.pool.test_pool_calls import SPIN, until
from tests.edged.pool.test_pool_deaths import BY_ACT
from tests.edged.pool.test_pool_isolation import COUNTS

PLAIN = Image(without=frozenset({"language"}))
OFTEN_SLOW = """
from datetime import datetime, timedelta
def run(input_data):
    end = datetime.now() + timedelta(milliseconds=input_data)
    while datetime.now() < end: pass
"""
SLOW_EXAMPLES = (b"500", b"500")


def running(pool: Pool, key: str) -> int:
    return pool.stats().by_key[key].running


async def test_a_worker_that_comes_later_has_run_the_examples_which_count_as_nobodys_calls():
    warm = ProgramSource(source=COUNTS.source, warm_inputs=(b"1", b"2"))
    async with Pool(PoolSettings(recycle_after_calls=5), PLAIN) as pool:
        await pool.load("counts", warm)
        (first,) = pool.worker_pids("counts")
        for _ in range(5):
            await pool.call("counts", b"1")
        await until(lambda: first not in pool.worker_pids("counts"))

        result = await pool.call("counts", b"1")

        assert result.output_json == b"3"
        assert pool.stats().by_key["counts"].executions == pool.stats().executions == 6


async def test_examples_take_no_callers_place_under_a_cap():
    warm = ProgramSource(
        source=OFTEN_SLOW, warm_inputs=SLOW_EXAMPLES, placement=Placement(calls_limit=2)
    )
    async with Pool(PoolSettings(workers_min=2, time_limit_ms=3000)) as pool:
        await pool.load("slow", warm)
        await until(lambda: running(pool, "slow") == 2)

        result = await pool.call("slow", b"0")

        assert result.outcome is Outcome.SUCCESS
        assert running(pool, "slow")  # nobody waits behind an example either


async def test_a_worker_serves_until_its_successor_has_run_the_examples():
    warm = ProgramSource(source=OFTEN_SLOW, warm_inputs=SLOW_EXAMPLES)
    async with Pool(PoolSettings(recycle_after_calls=5, time_limit_ms=3000)) as pool:
        await pool.load("slow", warm)
        (first,) = pool.worker_pids("slow")
        for _ in range(5):
            await pool.call("slow", b"0")
        await until(lambda: running(pool, "slow") == 2)

        result = await pool.call("slow", b"0")

        assert result.outcome is Outcome.SUCCESS
        assert first in pool.worker_pids("slow")
        assert running(pool, "slow")
        await until(lambda: first not in pool.worker_pids("slow"))
        assert len(pool.worker_pids("slow")) == 1


async def test_an_example_that_costs_its_worker_warms_no_other():
    warm = ProgramSource(source=SPIN.source, warm_inputs=(b"1", b"2"))
    settings = PoolSettings(workers_min=2, workers_per_version=2, time_limit_ms=30)
    async with Pool(settings) as pool:
        seen: set[int] = set()

        def has_seen(pids: int) -> bool:
            seen.update(pool.worker_pids("spin"))
            return len(seen) == pids

        await pool.load("spin", warm)
        await until(lambda: has_seen(3))  # the first, the one that warmed, and who came for it
        await asyncio.sleep(0.3)

        assert has_seen(3)
        assert pool.stats().by_key["spin"].workers == 2
        assert pool.stats().executions == 0


async def test_a_program_that_was_unloaded_runs_no_examples():
    loads_long = f"for _ in range(3_000_000): pass\n{BY_ACT.source}"
    warm = ProgramSource(source=loads_long, warm_inputs=(b'"socket"',))
    async with Pool(PoolSettings(workers_min=2), PLAIN) as pool:
        await pool.load("acts", warm)
        await until(lambda: len(pool.worker_pids("acts")) == 2)

        pool.unload("acts")
        await until(lambda: not pool.worker_pids("acts"))

        assert pool.stats().respawns == 0
