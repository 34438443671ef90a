"""Pools of real jailed workers, with and without the language layer."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from edged.pool.zygote import Image

ROOT = Path(__file__).resolve().parents[3]

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


@pytest.fixture(scope="session")
def payloads() -> list[dict[str, str]]:
    """The corpus of hostile and ordinary programs, where this machine has it."""
    data = Path(os.environ.get("LOOPAI_TEST_DATA", ROOT.parent / "shared" / "data"))
    corpus = data / "sandbox" / "payloads.jsonl"
    if not corpus.is_file():
        pytest.skip(f"no payloads in {corpus}; name the data folder in LOOPAI_TEST_DATA")
    return [json.loads(line) for line in corpus.read_bytes().splitlines()]
