"""The pool on both event loops that the daemons may use."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from edged.pool.pool import Outcome, Pool, ProgramSource
from edged.pool.settings import PoolSettings

PROGRAM = ProgramSource(
    source="import itertools\n"
    "def run(input_data):\n"
    "    return sum(itertools.count()) if input_data == 'count' else input_data\n"
)


async def serve_kill_and_serve_again() -> list[Outcome]:
    async with Pool(PoolSettings(time_limit_ms=100)) as pool:
        await pool.load("count", PROGRAM)
        words = (b'"echo"', b'"count"', b'"echo"')
        return [(await pool.call("count", word)).outcome for word in words]


@pytest.mark.parametrize("run_loop", [asyncio.run, uvloop.run])
def test_a_pool_serves_and_recovers_on_either_event_loop(
    run_loop: Callable[[Coroutine[Any, Any, list[Outcome]]], list[Outcome]],
):
    outcomes = run_loop(serve_kill_and_serve_again())

    assert outcomes == [Outcome.SUCCESS, Outcome.TIMEOUT, Outcome.SUCCESS]
