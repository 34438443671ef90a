"""Workers that are lost while they load a program, and versions that end before they have one."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from edged.pool.pool import LoadFailed, Outcome, Pool, ProgramSource, Result
from edged.pool.settings import PoolSettings
from edged.sandbox.control import Order
from edged.sandbox.refusals import ProgramRefused
from scripts.support.processes import parent_of
from tests.edged.pool.test_pool_calls import SPIN, gather, until
from tests.edged.pool.test_pool_warm import OFTEN_SLOW

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


@contextmanager
def no_new_workers(pid: int) -> Iterator[None]:
    """Stop the zygote of this worker."""
    zygote_pid = parent_of(pid)
    os.kill(zygote_pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(zygote_pid, signal.SIGCONT)


async def test_a_program_that_was_unloaded_gets_no_worker_that_was_still_to_come():
    async with Pool(PoolSettings(spare_workers=0)) as pool:
        await pool.load("slow", ProgramSource(source=OFTEN_SLOW))
        with no_new_workers(pool.worker_pids("slow")[0]):
            await gather(pool, "slow", [b"100", b"0"])  # the second waits, which brings a worker
            assert pool.stats().workers == 2

            pool.unload("slow")

        await until(lambda: pool.stats().spares == 1)  # not lent
        await until(lambda: pool.worker_pids("slow") == [])


async def test_who_called_a_program_that_gets_no_worker_in_time_learns_of_it():
    settings = PoolSettings(spare_workers=0, load_time_limit_ms=100, start_timeout_s=2)
    async with Pool(settings) as pool:
        await pool.load("spin", SPIN)
        with no_new_workers(pool.worker_pids("spin")[0]):
            loading = asyncio.get_running_loop().create_task(pool.load("late", SPIN))
            await asyncio.sleep(0)
            called = asyncio.get_running_loop().create_task(pool.call("late", b"1"))

            with pytest.raises(LoadFailed, match="in time"):
                await loading
            result = await called

        assert (result.is_lost, result.error_type) == (True, "load_failed")


async def test_a_worker_whose_order_was_lost_is_started_again(monkeypatch):
    lost: list[Order] = []

    def send_nothing(_channel: socket.socket, order: Order, *_values: object, **_fds: object):
        lost.append(order)
        raise BlockingIOError  # what a zygote that does not read causes in the end

    async with Pool(PoolSettings(start_timeout_s=3)) as pool:
        await until(lambda: pool.stats().spares == 1)
        with monkeypatch.context() as patched:
            patched.setattr("edged.pool.zygote.send", send_nothing)
            await pool.load("spin", SPIN)  # in the spare
            await until(lambda: lost == [Order.SPAWN])

        await until(lambda: pool.stats().spares == 1)


async def test_a_minimum_of_workers_comes_once_the_program_is_known_to_load():
    async with Pool(PoolSettings(workers_min=2)) as pool:
        loading = await begin_load(pool, "long", LOADS_FOR_EVER)
        await asyncio.sleep(1.2)  # the pool looks once a second

        pids = pool.worker_pids("long")

        pool.unload("long")
        os.kill(pids[0], signal.SIGKILL)
        with pytest.raises(LoadFailed):
            await loading
        assert len(pids) == 1


async def test_source_with_a_lone_surrogate_is_refused_at_its_place(pool):
    source = "X = '\ud800'\ndef run(input_data):\n    return 1\n"

    with pytest.raises(ProgramRefused, match="line 1, column 6: text that is not valid Unicode"):
        await pool.load("text", ProgramSource(source=source))
