"""One attempt to better a program, step by step; every step may be repeated after a crash.

analyse → regenerate → evaluate → roll_out. What a step decides it writes down or returns, and the
workflow keeps that; nothing is remembered here.
Runs in: jobs. Talks to: tasks, labels, generator, artifacts, rollouts. Never: trains on a sealed
row, or starts two rollouts for one attempt.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from controlplane.artifacts.draft import Draft
from controlplane.artifacts.gate import Gate, Program, Trial
from controlplane.artifacts.generations import Generations
from controlplane.artifacts.versions import Versions
from controlplane.drafting import brief_of, decoded, draft_of
from controlplane.errors import RolloutRefused
from controlplane.generator.errors import CandidateRefused
from controlplane.generator.evaluator import evaluate
from controlplane.generator.portfolio import AnyGenerator, generate
from controlplane.generator.protocol import Candidate, Example, ProgramRunner
from controlplane.improvement import contest, patterns
from controlplane.improvement.appeal import compose
from controlplane.improvement.improvements import (
    ANALYSING,
    EVALUATING,
    GENERATING,
    RESOLVED,
    ROLLING_OUT,
    Improvements,
)
from controlplane.improvement.settings import ImprovementSettings
from controlplane.improvement.sight import Sight
from controlplane.improvement.training import Material, assemble, permitting
from controlplane.reviews.labels import Labelled, Labels
from controlplane.rollouts.rollouts import RolloutRequest, Rollouts
from controlplane.storage.activation import ACTIVE
from controlplane.storage.loop_models import ImprovementRow
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.examples import Examples
from controlplane.tasks.specification import Task
from edged.artifacts.archive import read
from edged.errors import CallerError

log = structlog.get_logger()

PATTERN_ROWS = 1_000  # newest labels that the patterns are sought in
NO_TEXTS = (
    "no texts of executions come home, so no program can be made of the labels: the edges run in "
    "strict privacy. Add examples of what fails, or relax the privacy mode at the edges"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptParts:
    """What an attempt is made with."""

    tasks: Tasks
    examples: Examples
    labels: Labels
    sight: Sight
    generations: Generations
    versions: Versions
    gate: Gate
    runner: ProgramRunner
    generators: Sequence[AnyGenerator]
    improvements: Improvements
    rollouts: Rollouts
    plan: dict[str, Any]
    settings: ImprovementSettings


class Attempt:
    """The steps; each takes the improvement's id."""

    def __init__(self, parts: AttemptParts) -> None:
        self._parts = parts

    async def analyse(self, improvement_id: str) -> bool:
        """Write the patterns down; return whether there is anything to learn from."""
        row, task = await self._read(improvement_id)
        labelled = await self._labelled(task)
        if not labelled:
            content = await self._content(row, task)
            await self._parts.improvements.ask(row.id, NO_TEXTS, content)
            return False
        found = await asyncio.to_thread(patterns.find, labelled[-PATTERN_ROWS:])
        reason = "; ".join(pattern.words for pattern in found) or "no pattern stands out"
        documents = [pattern.as_json() for pattern in found]
        await self._parts.improvements.move(row.id, ANALYSING, reason=reason, patterns=documents)
        return True

    async def regenerate(self, improvement_id: str) -> dict[str, str]:
        """Return {"draft": …} that passed the gates, or {"reason": …} why there is none."""
        started_s = time.monotonic()
        row, task = await self._read(improvement_id)
        material = await self._material(row, task)
        await self._parts.improvements.move(row.id, GENERATING, reason=material.words)
        try:
            made = await generate(
                brief_of(task),
                material.examples,
                self._parts.generators,
                self._parts.runner,
                lambda _status, _fraction: None,
            )
            draft = draft_of(task, row.id, made, time.monotonic() - started_s)
            await self._check(draft)
        except CallerError as refusal:
            return {"reason": f"no program could be made: {refusal}"}
        return {"draft": draft.render()}

    async def evaluate(self, improvement_id: str, draft_json: str) -> bool:
        """Let candidate and incumbent run on the sealed rows; return whether it won."""
        row, task = await self._read(improvement_id)
        await self._parts.improvements.move(row.id, EVALUATING)
        sealed = (await self._material(row, task)).sealed
        if len(sealed) < self._parts.settings.min_sealed:
            # Voided since: nothing is known against the candidate, so it is no rejection.
            reason = f"only {len(sealed)} sealed labels are left to judge by"
            await self.give_up(row.id, reason)
            return False
        rows = [Example(input=each.input, output=each.label) for each in sealed]
        result = contest.compare(
            await self._marks(_candidate(Draft.parse(draft_json)), rows),
            await self._marks(await self._incumbent(row, task), rows),
        )
        await self._parts.improvements.move(
            row.id, EVALUATING, reason=result.words, evaluation=result.as_json()
        )
        if not result.is_better:
            await self.reject(row.id, result.words)
        return result.is_better

    async def roll_out(self, improvement_id: str, draft_json: str) -> None:
        """Publish the candidate and start its rollout: one version and one rollout, ever."""
        row, task = await self._read(improvement_id)
        started = await self._parts.rollouts.of_improvement(row.id)
        if started is not None:
            # Repeated after a crash; the edges may have decided it meanwhile.
            await self._beside(row, started.to_version)
            return
        incumbent = await self._parts.versions.find(task.id, task.name, row.from_version)
        if incumbent.status != ACTIVE:
            await self.give_up(row.id, f"v{row.from_version} does not serve any more")
            return
        draft = Draft.parse(draft_json)
        await self._parts.generations.record_made(row.organisation_id, task.id, row.id)
        version = await self._parts.versions.publish(draft, activate=False)
        request = RolloutRequest(
            organisation_id=row.organisation_id,
            task_id=task.id,
            version=version.version,
            plan=self._parts.plan,
            improvement_id=row.id,
        )
        try:
            await self._parts.rollouts.start(request)
        except RolloutRefused as refusal:
            await self.give_up(row.id, str(refusal))
            return
        await self._beside(row, version.version)

    async def reject(self, improvement_id: str, reason: str) -> None:
        """End the attempt; after too many in a row a person is asked."""
        row, task = await self._read(improvement_id)
        await self._parts.improvements.reject(
            row.id,
            reason,
            content=await self._content(row, task),
            most=self._parts.settings.max_rejections,
        )

    async def give_up(self, improvement_id: str, reason: str) -> None:
        """End an attempt without a verdict: nothing was shown against its candidate."""
        await self._parts.improvements.move(improvement_id, RESOLVED, reason=reason)

    async def _beside(self, row: ImprovementRow, version: int) -> None:
        reason = f"v{version} beside v{row.from_version}"
        await self._parts.improvements.move(row.id, ROLLING_OUT, reason=reason, to_version=version)

    async def _read(self, improvement_id: str) -> tuple[ImprovementRow, Task]:
        row = await self._parts.improvements.read(improvement_id)
        return row, await self._parts.tasks.find(row.organisation_id, row.task_id)

    async def _labelled(self, task: Task) -> list[Labelled]:
        return await self._parts.labels.labelled(task.organisation_id, task.name)

    async def _material(self, row: ImprovementRow, task: Task) -> Material:
        stored = await self._parts.examples.all(task.id)
        labelled = await self._labelled(task)
        found = [patterns.Pattern(**document) for document in row.patterns]
        permits = permitting(task.input_schema, task.output_schema)
        return await asyncio.to_thread(
            lambda: assemble(decoded(stored), labelled, found, permits, self._parts.settings)
        )

    async def _content(self, row: ImprovementRow, task: Task) -> dict[str, Any]:
        """Return what a person would be shown of this attempt."""
        failing = await self._parts.sight.estimate(task, row.from_version)
        labelled = await self._labelled(task)
        found = [patterns.Pattern(**document) for document in row.patterns]
        return compose(failing, found, labelled, row.evaluation)

    async def _check(self, draft: Draft) -> None:
        """Raises ArtifactRefused: an improved program meets the same gates as any other."""
        program = Program(source=draft.source, returns_confidence=draft.returns_confidence)
        trials = [
            Trial(input=test.input, output=test.output, is_expected=True)
            for test in draft.self_tests
        ]
        await self._parts.gate.check(program, trials, draft.task.output_schema)

    async def _incumbent(self, row: ImprovementRow, task: Task) -> Candidate:
        version = await self._parts.versions.find(task.id, task.name, row.from_version)
        artifact = read(await self._parts.versions.content(version))
        return Candidate(
            strategy=artifact.manifest.synthesis_strategy,
            source=artifact.program,
            returns_confidence=artifact.manifest.returns_confidence,
            complexity={},
            explanation="",
        )

    async def _marks(self, program: Candidate, rows: Sequence[Example]) -> Sequence[bool]:
        try:
            marks = await evaluate(program, rows, self._parts.runner, lambda _fraction: None)
        except CandidateRefused:
            return [False] * len(rows)  # an older policy let it pass; today it answers nothing
        return marks.right


def _candidate(draft: Draft) -> Candidate:
    return Candidate(
        strategy=draft.synthesis_strategy,
        source=draft.source,
        returns_confidence=draft.returns_confidence,
        complexity={},
        explanation="",
    )
