"""Workers that are lost while they load a program, and versions that end before they have one."""

import asyncio
import os
import signal
from contextlib import suppress

import pytest

from edged.pool.pool import LoadFailed, Outcome, Pool, ProgramSource, Result
from tests.edged.pool.test_pool_calls import until

LOADS_FOR_EVER = ProgramSource(
    source="while True: pass\ndef run(input_data):\n    return input_data\n"
)
LOADS_LONG = ProgramSource(
    source="total = 0\n"
    "for number in range(3_000_000): total += number\n"
    "def run(input_data):\n"
    "    return input_data\n"
)


async def kill_workers(pool: Pool, key: str, until_done: "asyncio.Future[Result]") -> None:
    while not until_done.done():
        for pid in pool.worker_pids(key):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.001)


async def begin_load(pool: Pool, key: str, program: ProgramSource) -> "asyncio.Task[None]":
    """Return once a worker loads it."""
    loading = asyncio.get_running_loop().create_task(pool.load(key, program))
    await until(lambda: bool(pool.worker_pids(key)))
    return loading


async def test_a_program_whose_workers_are_killed_while_they_load_it_is_given_up(pool):
    loading = asyncio.get_running_loop().create_task(pool.load("long", LOADS_FOR_EVER))

    await kill_workers(pool, "long", loading)

    with pytest.raises(LoadFailed, match="killed while they loaded it"):
        await loading


async def test_who_waits_for_workers_that_are_killed_while_they_load_learns_of_it(
    escaped_pool,
):
    await escaped_pool.load("long", LOADS_LONG)
    waiting = asyncio.get_running_loop().create_task(escaped_pool.call("long", b"1"))

    await kill_workers(escaped_pool, "long", waiting)
    lost = await waiting
    after = await escaped_pool.call("long", b"2")

    assert (lost.is_lost, lost.error_type) == (True, "load_failed")
    assert (after.outcome, after.output_json) == (Outcome.SUCCESS, b"2")


async def test_a_program_that_is_unloaded_while_it_loads_is_not_loaded_again(pool):
    loading = await begin_load(pool, "long", LOADS_FOR_EVER)

    pool.unload("long")
    os.kill(pool.worker_pids("long")[0], signal.SIGKILL)

    with pytest.raises(LoadFailed):
        await loading
