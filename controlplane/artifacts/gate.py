"""The gates in front of a version: readable, policy, schema, self-test.

Every program meets the same gates, generated or uploaded, inside a jailed worker: the very
barriers that it meets at an edge. Runs in: server (uploads, activation), jobs (generated).
Never: runs program text anywhere else, or lets a program pass that it could not try.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from uuid_utils import uuid7

from controlplane.artifacts.draft import source_bytes_limit
from controlplane.errors import ArtifactRefused
from edged.artifacts.manifest import MAX_SOURCE_BYTES
from edged.contract.schema import Schema
from edged.pool.pool import Pool
from edged.pool.values import ProgramSource
from edged.sandbox.frames import Outcome
from edged.sandbox.refusals import ProgramRefused

TIME_LIMIT_MS = 1_000.0  # the edge's default for one execution
SHOWN = 200  # characters of an output in a refusal; the caller's own program made it


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The text under test."""

    source: str
    returns_confidence: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One input; with `is_expected`, the output that must come back."""

    input: Any
    output: Any = None
    is_expected: bool = False


class Gate:
    """Tries programs in the pool of its process."""

    def __init__(self, pool: Pool, *, trials_limit_s: float = 30.0) -> None:
        """trials_limit_s: for all examples together; an uploader waits for it."""
        self._pool = pool
        self._trials_limit_s = trials_limit_s

    async def check_policy(self, program: Program) -> None:
        """Raise ArtifactRefused, with line and column, for a text that no edge would load."""
        async with self._loaded(program):
            pass

    async def check(
        self, program: Program, trials: Sequence[Trial], output_schema: dict[str, Any]
    ) -> list[Any]:
        """Return the outputs. Raises ArtifactRefused naming the gate and the first problem."""
        schema = Schema(output_schema)
        async with self._loaded(program) as key:
            try:
                async with asyncio.timeout(self._trials_limit_s):
                    return [
                        await self._try(key, number, trial, schema)
                        for number, trial in enumerate(trials, start=1)
                    ]
            except TimeoutError as error:
                limit = f"{self._trials_limit_s:g} s for {len(trials)} examples"
                raise ArtifactRefused(gate="self-test", reason=f"needs over {limit}") from error

    @asynccontextmanager
    async def _loaded(self, program: Program) -> AsyncIterator[str]:
        if len(program.source.encode()) > MAX_SOURCE_BYTES:
            raise ArtifactRefused(gate="policy", reason=f"longer than {MAX_SOURCE_BYTES} bytes")
        key = f"gate-{uuid7()}"
        source = ProgramSource(
            source=program.source,
            returns_confidence=program.returns_confidence,
            source_bytes_limit=source_bytes_limit(program.source),
        )
        try:
            await self._pool.load(key, source)
        except ProgramRefused as error:
            raise _refused(error) from error
        try:
            yield key
        finally:
            self._pool.unload(key)

    async def _try(self, key: str, number: int, trial: Trial, schema: Schema) -> Any:
        """Run one trial; the schema's gate comes before the comparison."""
        sent = orjson.dumps(trial.input)
        result = await self._pool.call(key, sent, time_limit_ms=TIME_LIMIT_MS)
        if result.outcome is not Outcome.SUCCESS:
            outcome = result.outcome.name
            reason = f"example {number}: {outcome} {result.error_type}: {result.error_message}"
            raise ArtifactRefused(gate="self-test", reason=reason)
        output = orjson.loads(result.output_json)
        breach = schema.breach(output, root="output")
        if breach is not None:
            reason = f"example {number}: {breach.field}: {breach.reason}"
            raise ArtifactRefused(gate="schema", reason=reason, field=breach.field)
        if trial.is_expected and not _is_same(output, trial.output):
            reason = f"example {number}: answered {_shown(output)}, not {_shown(trial.output)}"
            raise ArtifactRefused(gate="self-test", reason=reason)
        return output


def _refused(error: ProgramRefused) -> ArtifactRefused:
    facts: dict[str, object] = {}
    if error.refusals:
        first = error.refusals[0]
        facts = {"line": first.line, "column": first.column}
    return ArtifactRefused(gate="policy", reason=str(error), **facts)


def _is_same(left: Any, right: Any) -> bool:
    option = orjson.OPT_SORT_KEYS
    return orjson.dumps(left, option=option) == orjson.dumps(right, option=option)


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()[:SHOWN]
