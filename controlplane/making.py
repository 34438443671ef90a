"""Make a version out of a generation's request: examples in, published version out.

Two halves, so that a crash repeats at most one of them: `propose` trains and tries (minutes),
`publish` stores (moments, and only once however often it is repeated).
Runs in: jobs. Talks to: tasks, generator, artifacts. Never: decides when or how often it is run.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from controlplane.artifacts.draft import Draft
from controlplane.artifacts.gate import Gate, Program, Trial
from controlplane.artifacts.generations import Generations, Throttle
from controlplane.artifacts.versions import Versions
from controlplane.drafting import brief_of, decoded, draft_of
from controlplane.generator.portfolio import AnyGenerator, Generation, generate
from controlplane.generator.protocol import Example, ProgramRunner
from controlplane.storage.models import GenerationRow
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.examples import Examples
from controlplane.tasks.specification import Task
from edged.errors import CallerError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class MakingParts:
    """What a generation is made with."""

    tasks: Tasks
    examples: Examples
    generations: Generations
    versions: Versions
    gate: Gate
    runner: ProgramRunner
    generators: Sequence[AnyGenerator]


class Making:
    """The two halves."""

    def __init__(self, parts: MakingParts) -> None:
        self._parts = parts

    async def propose(self, row: GenerationRow) -> Draft | CallerError:
        """Return a draft that passed the gates, or why these examples give none.

        A failure is returned, not raised: trying again would come to the same end.
        """
        started_s = time.monotonic()
        task = await self._parts.tasks.find(row.organisation_id, row.task_id)
        examples = await asyncio.to_thread(decoded, await self._parts.examples.all(task.id))
        try:
            generation = await self._generate(row, task, examples)
            draft = draft_of(task, row.id, generation, time.monotonic() - started_s)
            await self._check(draft)
        except CallerError as refusal:
            return refusal
        return draft

    async def publish(self, row: GenerationRow, draft: Draft) -> None:
        """Store the version, if it is not there already, and end the generation."""
        await self._parts.versions.publish(draft, activate=row.activate)
        await self._parts.generations.finish(row.id)

    async def fail(self, row: GenerationRow, reason: str) -> None:
        """End the generation; the reason stays out of the log, since it may quote an output."""
        await self._parts.generations.finish(row.id, reason=reason)
        log.warning("generation_failed", generation=row.id)

    async def _generate(
        self, row: GenerationRow, task: Task, examples: Sequence[Example]
    ) -> Generation:
        wanted = [
            each
            for each in self._parts.generators
            if not row.strategies or each.strategy in row.strategies
        ]
        progress = _Progress(self._parts.generations, row.id)
        made = generate(brief_of(task), examples, wanted, self._parts.runner, progress.report)
        async with asyncio.TaskGroup() as tasks:
            reporting = tasks.create_task(progress.run(), name="progress")
            outcome = await _outcome(made)
            reporting.cancel()
        if isinstance(outcome, CallerError):
            raise outcome
        return outcome

    async def _check(self, draft: Draft) -> None:
        """A generated program meets the same gates as an uploaded one."""
        program = Program(source=draft.source, returns_confidence=draft.returns_confidence)
        trials = [
            Trial(input=row.input, output=row.output, is_expected=True) for row in draft.self_tests
        ]
        await self._parts.gate.check(program, trials, draft.task.output_schema)


class _Progress:
    """Writes the newest report down, not too often; the generator never waits for it."""

    def __init__(self, generations: Generations, generation_id: str) -> None:
        self._generations = generations
        self._generation_id = generation_id
        self._newest = ("training", 0.0)
        self._is_new = asyncio.Event()

    def report(self, status: str, fraction: float) -> None:
        self._newest = (status, fraction)
        self._is_new.set()

    async def run(self) -> None:
        throttle = Throttle()
        while True:
            await self._is_new.wait()
            self._is_new.clear()
            status, fraction = self._newest
            if throttle.permits(status):
                await self._generations.report(self._generation_id, status, fraction)


async def _outcome(made: Coroutine[Any, Any, Generation]) -> Generation | CallerError:
    """Return the refusal as a value: a TaskGroup would wrap it."""
    try:
        return await made
    except CallerError as refusal:
        return refusal
