"""Pools of real jailed workers, with and without the language layer."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import edged.pool.zygote
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings

ROOT = Path(__file__).resolve().parents[3]

# What a program looks like that has broken out of its language: plain Python behind the kernel's
# barriers alone. Only a test can start a zygote like this.
WITHOUT_LANGUAGE = """
import sys
sys.path.append(sys.argv[2])
from edged.sandbox import worker, zygote
class Plain:
    def __init__(self, source):
        self.names = {}
        exec(source, self.names)
    def run(self, value):
        return self.names["run"](value)
worker.load = lambda source, limits: Plain(source)
zygote.main(int(sys.argv[1]))
"""


# Little memory, so that a busy machine fills it well within the time limit.
QUICK = PoolSettings(time_limit_ms=500, memory_limit_mb=48)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool(QUICK) as pool:
        yield pool


@pytest.fixture
async def escaped_pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    """A pool whose programs are plain Python."""
    monkeypatch.setattr(edged.pool.zygote, "BOOTSTRAP", WITHOUT_LANGUAGE)
    async with Pool(QUICK) as pool:
        yield pool


@pytest.fixture(scope="session")
def payloads() -> list[dict[str, str]]:
    """The corpus of hostile and ordinary programs, where this machine has it."""
    data = Path(os.environ.get("LOOPAI_TEST_DATA", ROOT.parent / "shared" / "data"))
    corpus = data / "sandbox" / "payloads.jsonl"
    if not corpus.is_file():
        pytest.skip(f"no payloads in {corpus}; name the data folder in LOOPAI_TEST_DATA")
    return [json.loads(line) for line in corpus.read_bytes().splitlines()]
