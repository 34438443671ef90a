"""Pools of real jailed workers, with and without the language layer."""

from collections.abc import AsyncIterator

import pytest

from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from edged.pool.zygote import Image

# Little memory, so that a busy machine fills it well within the time limit.
QUICK = PoolSettings(time_limit_ms=500, memory_limit_mb=48)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool(QUICK) as pool:
        yield pool


@pytest.fixture
async def escaped_pool() -> AsyncIterator[Pool]:
    """A pool whose programs are plain Python."""
    async with Pool(QUICK, Image(without=frozenset({"language"}))) as pool:
        yield pool
