"""Follow one task's executions, draw samples, ask its oracle, write down what came of it.

Runs in: the agent. Talks to: the execution log, the oracle, the validation log. Never: drops a
sample because its oracle is down or its execution failed, or holds up another task.

The log is the queue. Lines are read ahead of the checkpoint, up to `window_samples`, and finished
in any order; the checkpoint moves over what is finished without a gap. So one question that its
oracle cannot answer delays nobody, and a kill repeats at most what the window holds.

Whether and when an execution gets its label must not depend on the label: tests count them as they
come. So one that failed spends the budget and is asked about like any other, although the answer
makes it no less wrong, and it waits for those before it, which may wait for a judge.
"""

import asyncio
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import structlog

from edged.agent.asking import Asking
from edged.agent.checkpoints import Checkpoint, Limits, Progress, Step
from edged.agent.comparing import Comparing
from edged.agent.oracles.patience import Patience
from edged.agent.oracles.protocol import Oracle
from edged.agent.sampling import TaskSampler
from edged.agent.validations import Executed, Validation, ValidationCounts, ValidationLog
from edged.datasets.follower import Chunk, Follower
from edged.datasets.layout import Layout
from edged.decisions.sampling import Sample
from edged.errors import LogUnwritable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorSettings:
    """How often it looks, and how much it takes on."""

    follow_interval_s: float = 0.2
    """A sample waits this long at most before it is seen, and its validation before it is safe."""
    window_samples: int = 64
    """Read and not finished: what a kill repeats, and what memory holds while an oracle is down."""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """Who judges a task's executions, and how."""

    oracle: Oracle
    comparing: Comparing
    limits: Limits = field(default_factory=Limits)


class TaskValidator:
    """One task's samples, from the execution log to the validation log."""

    def __init__(
        self,
        task: str,
        layout: Layout,
        examiner: Examiner,
        sampler: TaskSampler,
        checkpoint: Checkpoint,
        validations: ValidationLog,
        settings: ValidatorSettings,
    ) -> None:
        self._task = task
        self._layout = layout
        self._examiner = examiner
        self._sampler = sampler
        self._checkpoint = checkpoint
        self._validations = validations
        self._settings = settings
        self._window = asyncio.Semaphore(settings.window_samples)
        self._halted = ""  # why nothing is validated, while that is so
        self._in_progress = 0
        self.counts = ValidationCounts()
        self._asking = Asking(
            task,
            checkpoint.budget,
            validations.forgotten,
            settings.patience,
            self.counts,
            examiner.limits,
        )

    def resample(self, sampler: TaskSampler, limits: Limits) -> None:
        self._sampler = sampler
        self._asking.limits = limits

    def status(self) -> dict[str, Any]:
        """Return what a person asks for."""
        spent, limits = self._checkpoint.budget.today(self._task), self._asking.limits
        return {
            "oracle": self._examiner.oracle.name,
            "halted": self._halted,
            "oracle_answers": self._asking.is_well,
            "in_progress": self._in_progress,
            "today": {
                **asdict(spent),
                "questions_limit": limits.questions,
                "cost_usd_limit": limits.cost_usd,
            },
            "since_start": asdict(self.counts),
        }

    async def run(self) -> None:
        """Work until cancelled; whatever ends the work, it goes on from the checkpoint."""
        attempt = 0
        while True:
            try:
                async with self._examiner.oracle:
                    await self._work()
            except Exception as error:  # noqa: BLE001 one task's trouble is not the others'
                reason = _reason(error)
                if reason != self._halted:  # a missing file is missing for long
                    log.error("validation_halted", task=self._task, reason=reason)
                self._halted = reason
            await self._settings.patience.wait(attempt)
            attempt += 1

    async def _work(self) -> None:
        # Reading runs ahead of the checkpoint by what is not finished.
        ahead = dict(self._checkpoint.positions)
        follower = Follower(self._layout, "executions", ahead, task=self._task)
        self._halted, self._in_progress = "", 0
        progress = Progress(self._task, self._checkpoint)
        self._window = asyncio.Semaphore(self._settings.window_samples)
        async with asyncio.TaskGroup() as asks:
            while True:
                for chunk in follower.read():
                    follower.commit(chunk)
                    await self._take(chunk, progress, asks)
                    await asyncio.sleep(0)  # a long backlog must not hold up the link
                await asyncio.sleep(self._settings.follow_interval_s)

    async def _take(self, chunk: Chunk, progress: Progress, asks: asyncio.TaskGroup) -> None:
        """Draw from the lines, and start what is to be done for each sample."""
        is_last_drawn = False
        for line, end in chunk.with_ends():
            drawn = self._draw(line, progress)
            is_last_drawn = drawn is not None
            if drawn is None:
                continue
            await self._window.acquire()
            self._in_progress += 1
            step = progress.begin(chunk.key, end)
            asks.create_task(self._settle(*drawn, progress, step), name=f"validate {self._task}")
        if not is_last_drawn:
            progress.skip(chunk.key, chunk.end)

    def _draw(self, line: bytes, progress: Progress) -> tuple[Executed, Sample] | None:
        """Return a sample that is to be judged; the others are counted, if they were drawn."""
        try:
            fields = orjson.loads(line)
            sample = self._sampler.take(fields, progress.traffic)
            executed = None if sample is None else Executed.of(fields)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.counts.skip("malformed")
            return None
        if sample is None or executed is None:
            return None
        self.counts.drawn += 1
        reason = self._reason_to_skip(executed)
        if reason:
            self.counts.skip(reason)
            return None
        return executed, sample

    def _reason_to_skip(self, executed: Executed) -> str:
        if executed.is_cut_by_caller:
            return "cut_by_caller"  # says nothing about the program
        # Whichever channel drew: to spare the budget for one would change the other's weights.
        return "" if self._asking.take() else "budget"

    async def _settle(
        self, executed: Executed, sample: Sample, progress: Progress, step: Step
    ) -> None:
        """Bring one sample to its end: a line in the validation log, or a counted reason."""
        try:
            validation = await self._validate(executed, sample)
            if not executed.is_success:
                await step.turn.wait()
            if validation is not None:
                await self._append(validation)
            progress.finish(step)
        finally:
            self._in_progress -= 1
            self._window.release()

    async def _validate(self, executed: Executed, sample: Sample) -> Validation | None:
        """Ask the oracle, then compare; what either costs is spent whatever becomes of it."""
        question, examiner = executed.question, self._examiner
        answer = await self._asking.ask(question, lambda: examiner.oracle.ask(question))
        if answer is None:
            return None
        self._asking.spend(answer.cost, answer.latency_ms, answers=1)
        compared = await self._asking.compare(examiner.comparing, executed, answer.output)
        if compared is None:
            return None
        return Validation(
            executed=executed,
            oracle=examiner.oracle.name,
            truth=answer.output,
            cost=answer.cost + compared.cost,
            latency_ms=answer.latency_ms,
            comparison=compared.comparison,
            channel=sample.channel.value,
            inclusion=sample.inclusion_probability,
        )

    async def _append(self, validation: Validation) -> None:
        """Write the line, again and again while the disk refuses it."""
        attempt = 0
        while True:
            try:
                self._validations.append(self._task, [validation])
            except LogUnwritable as error:
                log.warning("validation_not_logged", task=self._task, reason=str(error))
            else:
                self.counts.count(validation)
                return
            await self._settings.patience.wait(attempt)
            attempt += 1


def _reason(error: BaseException) -> str:
    """Return what happened; of a group, the first that did."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
