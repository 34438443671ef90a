"""Score a candidate by running it, jailed as at an edge, on rows that it was not made from.

Runs in: jobs. Talks to: a ProgramRunner, in production the jobs process's own pool. Never: judges
by anything but exact equality of JSON values; a call without an answer is a wrong answer.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from controlplane.generator.errors import CandidateRefused
from controlplane.generator.protocol import Candidate, Example, ProgramRunner, Run
from controlplane.generator.table import canonical
from edged.pool.pool import Pool
from edged.pool.values import ProgramSource
from edged.sandbox.frames import Outcome
from edged.sandbox.refusals import ProgramRefused

IN_FLIGHT = 32  # keeps a worker busy; far below the pool's queue of 1,024


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How a candidate did, row by row, in the order of the rows."""

    right: tuple[bool, ...]
    runs: tuple[Run, ...]

    @property
    def failures(self) -> int:
        return sum(run.failure is not None for run in self.runs)

    @property
    def run_ms_p50(self) -> float:
        return sorted(run.run_ms for run in self.runs)[len(self.runs) // 2] if self.runs else 0.0

    @property
    def run_ms_p99(self) -> float:
        ordered = sorted(run.run_ms for run in self.runs)
        return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] if ordered else 0.0


class PoolRunner:
    """Runs candidates in the workers of a pool, each under a key of its own."""

    def __init__(self, pool: Pool, *, time_limit_ms: float = 1_000.0) -> None:
        """pool: running, owned by the caller. time_limit_ms: the default of an edge."""
        self._pool = pool
        self._time_limit_ms = time_limit_ms
        self._numbers = count(1)

    async def load(self, source: str, *, returns_confidence: bool) -> str:
        key = f"candidate-{next(self._numbers)}"
        program = ProgramSource(
            source=source,
            returns_confidence=returns_confidence,
            source_bytes_limit=len(source.encode()),
        )
        try:
            await self._pool.load(key, program)
        except ProgramRefused as refused:
            raise CandidateRefused(reason=str(refused)) from refused
        return key

    async def run(self, key: str, input_json: bytes) -> Run:
        result = await self._pool.call(key, input_json, time_limit_ms=self._time_limit_ms)
        if result.outcome is Outcome.SUCCESS:
            return Run(output_json=result.output_json, failure=None, run_ms=result.run_ms)
        failure = f"{result.outcome.name} {result.error_type}: {result.error_message}"
        return Run(output_json=None, failure=failure, run_ms=result.run_ms)

    async def unload(self, key: str) -> None:
        self._pool.unload(key)


async def evaluate(
    candidate: Candidate,
    rows: Sequence[Example],
    runner: ProgramRunner,
    report: Callable[[float], None],
) -> Marks:
    """Run the candidate on every row. Raises CandidateRefused.

    report: called with the finished fraction of the rows.
    """
    async with _loaded(candidate, runner) as key:
        runs = await _run_all(key, [row.input for row in rows], runner, report)
    right = tuple(_is_right(run, row.output) for run, row in zip(runs, rows, strict=True))
    return Marks(right=right, runs=tuple(runs))


@asynccontextmanager
async def _loaded(candidate: Candidate, runner: ProgramRunner) -> AsyncIterator[str]:
    key = await runner.load(candidate.source, returns_confidence=candidate.returns_confidence)
    try:
        yield key
    finally:
        await runner.unload(key)


async def _run_all(
    key: str, inputs: Sequence[Any], runner: ProgramRunner, report: Callable[[float], None]
) -> list[Run]:
    runs: dict[int, Run] = {}
    waiting = iter(enumerate(inputs))  # shared: each caller takes the next

    async def call_on(rows: Iterator[tuple[int, Any]]) -> None:
        for index, value in rows:
            runs[index] = await runner.run(key, canonical(value).encode())
            if len(runs) % 100 == 0:
                report(len(runs) / len(inputs))

    async with asyncio.TaskGroup() as callers:
        for _ in range(min(IN_FLIGHT, len(inputs))):
            callers.create_task(call_on(waiting))
    return [runs[index] for index in range(len(inputs))]


def _is_right(run: Run, expected: Any) -> bool:
    return run.output_json is not None and canonical(json.loads(run.output_json)) == canonical(
        expected
    )
