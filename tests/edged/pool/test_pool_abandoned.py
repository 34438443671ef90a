"""Calls whose caller went away."""

import asyncio

from edged.pool.pool import Outcome, Pool, ProgramSource, Result
from edged.pool.settings import PoolSettings

SPIN = ProgramSource(source="def run(input_data):\n    while True: pass\n")


async def test_an_abandoned_call_that_waits_is_not_run():
    async with Pool(PoolSettings(time_limit_ms=200, workers_per_version=1)) as pool:
        await pool.load("spin", SPIN)
        gone: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as calls:
            first = calls.create_task(pool.call("spin", b"1"))
            await asyncio.sleep(0)

            pool.submit("spin", b"2", gone.set_result).abandon()
            result = await gone

            assert (result.outcome, result.cut_by_caller) == (Outcome.TIMEOUT, True)
            assert result.run_ms == 0
            assert not first.done()

    assert first.result().cut_by_caller is False


async def test_an_abandoned_call_that_runs_ends_as_any_other():
    async with Pool(PoolSettings(time_limit_ms=200)) as pool:
        await pool.load("spin", SPIN)
        ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        call = pool.submit("spin", b"1", ended.set_result)
        await asyncio.sleep(0.05)

        call.abandon()

        result = await ended
        assert (result.outcome, result.cut_by_caller) == (Outcome.TIMEOUT, False)
        assert result.run_ms > 0
