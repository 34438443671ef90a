"""Run a candidate on audited inputs, beside what the stable version answered.

Runs in: the agent, on its own pool. Never: answers a caller, or trusts the candidate's output.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from edged.agent.comparing import Comparing, Plain
from edged.agent.oracles.protocol import Question, QuestionRefused
from edged.agent.rollout_file import RolloutState
from edged.artifacts.archive import open_folder
from edged.contract.compare import Exact
from edged.datasets.layout import Layout
from edged.decisions.discordance import PairCounts
from edged.decisions.progress import ArmCounts, Observations
from edged.errors import LoopaiError
from edged.pool.pool import Pool, ProgramSource, Result
from edged.sandbox.frames import Outcome

log = structlog.get_logger()


class Shadow:
    """Compares candidate and stable version by task. comparing: exact where a task has none."""

    def __init__(self, layout: Layout, pool: Pool, comparing: Mapping[str, Comparing]) -> None:
        self._layout = layout
        self._pool = pool
        self._comparing = comparing
        self._is_needed = asyncio.Event()

    async def run(self) -> None:
        """Run the pool from the first comparison on: an edge without rollouts needs none."""
        await self._is_needed.wait()
        await self._pool.run()

    async def compare(self, state: RolloutState, validation: dict[str, Any]) -> Observations | None:
        """Run the candidate on a validated execution of the stable version.

        Returns None where there is nothing to compare: another version's, or one that failed.
        Raises LoopaiError or ProgramRefused when the candidate cannot be loaded.
        """
        is_stable = validation["version"] == state.stable.version
        if not is_stable or validation["channel"] != "audit" or validation["status"] != "success":
            return None
        self._is_needed.set()
        await self._load(state)
        given = orjson.dumps(validation["input"])
        result = await self._pool.call(state.candidate.digest, given)
        if result.is_lost:
            return None
        pair = await self._pair(state.task, validation, result)
        return Observations(candidate=_counts(result), pairs=pair)

    def forget(self, state: RolloutState) -> None:
        """Give the candidate's worker back."""
        self._pool.unload(state.candidate.digest)

    async def _load(self, state: RolloutState) -> None:
        if state.candidate.digest in self._pool.stats().by_key:
            return
        candidate = state.candidate
        artifact = open_folder(self._layout.version(candidate.task, candidate.version))
        manifest = artifact.manifest
        source = ProgramSource(
            source=artifact.program,
            returns_confidence=manifest.returns_confidence,
            source_bytes_limit=manifest.source_bytes_limit,
        )
        await self._pool.load(candidate.digest, source)

    async def _pair(self, task: str, validation: dict[str, Any], result: Result) -> PairCounts:
        """Return how both fared. A judge that is away raises; what it refuses says nothing."""
        is_agreed = is_right = False
        if result.outcome is Outcome.SUCCESS:
            comparing = self._comparing.get(task) or Plain(Exact())
            output = orjson.loads(result.output_json)
            question = _question(validation)
            try:
                agreed = await comparing.compare(question, output, validation["output"])
                right = await comparing.compare(question, output, validation["oracle_output"])
            except QuestionRefused:
                return PairCounts()
            is_agreed, is_right = agreed.comparison.match, right.comparison.match
        if is_agreed:
            return PairCounts(agreed=1)
        is_stable_right = bool(validation["match"])
        return PairCounts(
            disagreed=1,
            candidate_right=int(is_right and not is_stable_right),
            stable_right=int(is_stable_right and not is_right),
            neither_right=int(not is_right and not is_stable_right),
        )


def _question(validation: Mapping[str, Any]) -> Question:
    return Question(
        task=validation["task"],
        version=validation["version"],
        execution_id=validation["execution_id"],
        input_json=orjson.dumps(validation["input"]),
    )


def _counts(result: Result) -> ArmCounts:
    return ArmCounts(
        executions=1,
        errors=int(result.outcome in {Outcome.ERROR, Outcome.MEMORY, Outcome.VIOLATION}),
        timeouts=int(result.outcome is Outcome.TIMEOUT),
    )


def reason_of(error: Exception) -> str:
    """Return why a candidate could not be tried."""
    return str(error) if isinstance(error, LoopaiError) else f"{type(error).__name__}: {error}"
