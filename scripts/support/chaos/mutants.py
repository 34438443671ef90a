"""Thousands of mutated programs through policy and worker: who dies, and of what.

Every program is loaded into a real jailed worker and called twice. A worker may end because its
program overran time or memory: that is explained. A forbidden system call, a crash, an exit or a
worker that vanished is not, with the language layer on, and is shown with the program that did it.

Runs in: scripts/chaos mutants. Talks to: a pool of its own, the gateway's side of which runs here.
"""

import argparse
import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import structlog

from edged.pool.pool import Outcome, Pool, ProgramSource
from edged.pool.settings import PoolSettings
from edged.pool.verdicts import Cause, refusal_of
from edged.sandbox.refusals import ProgramRefused
from scripts.support import menu
from scripts.support.mutation import mutants

CALLS: Final = 2
INPUT: Final = b'{"text": "free hello world of text", "items": [3, 1, 2], "n": 4}'
SETTINGS: Final = PoolSettings(
    workers_per_version=1, time_limit_ms=100, load_time_limit_ms=1_000, memory_limit_mb=64
)
_AT_ONCE: Final = 4
_SAY_EVERY: Final = 1_000
_UNEXPLAINED_LOADS: Final = frozenset(
    refusal.what
    for cause in (Cause.VIOLATION, Cause.CRASHED, Cause.EXITED)
    if (refusal := refusal_of(cause)) is not None
)
_UNEXPLAINED_ERRORS: Final = frozenset({"worker_crashed", "worker_exited", "worker_lost"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--programs", type=menu.count, default=10_000)
    parser.add_argument("--seed", type=int, default=1)


def is_good(report: dict[str, Any]) -> bool:
    """Say whether every program was judged and every death is explained."""
    return report["judged"] == report["programs"] and not report["unexplained"]


def run(_folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Judge the programs; return how they ended."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    programs = mutants(options.programs, options.seed)
    report = asyncio.run(judge_all(programs, say))
    return {"programs": options.programs, "seed": options.seed, **report}


async def judge_all(programs: Iterable[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Load and call each program in a pool of real workers."""
    endings: Counter[str] = Counter()
    unexplained: list[dict[str, str]] = []
    numbered = iter(enumerate(programs))

    async def keep_judging() -> None:
        for number, source in numbered:
            ending = await _judge(pool, f"{number}", source)
            word = ending.removeprefix("unexplained ")
            endings[word] += 1
            if word != ending:
                unexplained.append({"ending": word, "source": source})
            if sum(endings.values()) % _SAY_EVERY == 0:
                say(f"{sum(endings.values())} programs: {dict(endings)}")

    async with Pool(SETTINGS) as pool, asyncio.TaskGroup() as judges:
        for _ in range(_AT_ONCE):
            judges.create_task(keep_judging())
        zygotes = pool.stats
    return {
        "judged": sum(endings.values()),
        "endings": dict(sorted(endings.items())),
        "zygote_restarts": zygotes().zygote_restarts,
        "unexplained": unexplained,
    }


async def _judge(pool: Pool, key: str, source: str) -> str:
    """Return how a program ended, in a word or two."""
    try:
        await pool.load(key, ProgramSource(source=source))
        results = [await pool.call(key, INPUT) for _ in range(CALLS)]
    except ProgramRefused as refused:
        what = refused.refusals[0].what
        return f"unexplained {what}" if what in _UNEXPLAINED_LOADS else "refused"
    finally:
        pool.unload(key)
    for result in results:
        if result.outcome is Outcome.VIOLATION or result.error_type in _UNEXPLAINED_ERRORS:
            return f"unexplained {result.error_type}"
    return results[-1].outcome.name.lower()
