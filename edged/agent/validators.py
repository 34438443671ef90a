"""All tasks' validators, their logs and their checkpoints.

Runs in: the agent; started by its composition root. Never: lets one task wait for another.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from edged.agent.checkpoints import Budget, Checkpoint, Limits
from edged.agent.comparing import comparing_of
from edged.agent.home_validator import HomeValidator
from edged.agent.oracles.home import HomeDesk, HomeQuestions
from edged.agent.oracles.outcome import OutcomeValidator
from edged.agent.oracles.program import ProgramOracle
from edged.agent.oracles.protocol import Oracle
from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.sampling import TaskSampler
from edged.agent.validations import ValidationCounts, ValidationLog
from edged.agent.validator import Examiner, TaskValidator, ValidatorSettings
from edged.datasets.layout import Layout
from edged.deployment import Deployment
from edged.deployment.checking import (
    AnthropicValidation,
    ControlPlaneValidation,
    HttpValidation,
    OutcomeValidation,
    ProgramValidation,
    Sampling,
    TaskValidation,
)
from edged.pool.pool import Pool, PoolError
from edged.pool.settings import PoolSettings

log = structlog.get_logger()


class Validators:
    """Everything that `validation` in deployment.yaml asks for."""

    def __init__(
        self,
        deployment: Deployment,
        layout: Layout,
        privacy: Callable[[], PrivacyFilter],
        salt: bytes,
        settings: ValidatorSettings,
        clock: Callable[[], float],
        desk: HomeDesk | None = None,
    ) -> None:
        """Privacy: returns the filter in force. salt: of `sampling_salt`. clock: epoch seconds."""
        self._deployment = deployment
        self._salt = salt
        self._layout = layout
        self._privacy = privacy
        self._settings = settings
        self._desk = desk or HomeDesk()
        self._audit = AuditLog(layout, clock)
        self._validations = ValidationLog(layout, clock)
        self._asked = Checkpoint(layout.state / "validator.json", Budget(clock))
        self._reported = Checkpoint(layout.state / "validator-outcomes.json", Budget(clock))
        self._pool = _pool(deployment.validation.values(), deployment.isolation.require)
        self.comparing = {
            task: comparing_of(validation.comparison, deployment.anthropic, privacy, self._audit)
            for task, validation in deployment.validation.items()
        }
        self._validators = {
            task: self._validator(task, validation, TaskSampler(deployment.sampling, salt))
            for task, validation in deployment.validation.items()
        }

    @property
    def counts(self) -> dict[str, ValidationCounts]:
        """By task, since this process started."""
        return {task: validator.counts for task, validator in self._validators.items()}

    def resample(self, sampling: Sampling) -> None:
        """Draw by other settings from here on."""
        self._deployment = self._deployment.model_copy(update={"sampling": sampling})
        for task, validator in self._validators.items():
            limits = self._limits(self._deployment.validation[task])
            validator.resample(TaskSampler(sampling, self._salt), limits)

    def acknowledged(self, kind: str, task: str, key: str) -> int | None:
        """Return up to where a file is worked off; see edged.agent.retention."""
        validator = self._validators.get(task)
        if kind == "executions" and isinstance(validator, TaskValidator):
            return self._asked.positions.get(key, 0)
        if kind == "outcomes" and isinstance(validator, OutcomeValidator):
            return self._reported.positions.get(key, 0)
        return None

    taken = acknowledged

    def forget(self, kind: str, key: str) -> None:
        if kind in {"executions", "outcomes"}:
            checkpoint = self._asked if kind == "executions" else self._reported
            checkpoint.positions.pop(key, None)

    def let_past_days_go(self) -> None:
        self._validations.let_past_days_go()

    def status(self) -> dict[str, Any]:
        """Return what a person asks for, by task."""
        return {task: validator.status() for task, validator in self._validators.items()}

    def problems(self) -> list[str]:
        """Return what holds validation up, in words of ours."""
        found = []
        for task, status in self.status().items():
            if status.get("halted"):
                found.append(f"task {task}: its validation does not start")
            elif not status.get("oracle_answers", True):
                found.append(f"task {task}: its oracle does not answer")
        return found

    async def run(self) -> None:
        """Work until cancelled; then leave the checkpoints where everything before is durable."""
        self._asked.load()
        self._reported.load()
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._pool is not None:
                    tasks.create_task(_keep_pool(self._pool), name="reference pool")
                for task, validator in self._validators.items():
                    tasks.create_task(validator.run(), name=f"validator {task}")
                tasks.create_task(self._keep_saving(), name="validator checkpoints")
        finally:
            for comparing in self.comparing.values():
                await comparing.close()
            self._save()
            self._validations.close()

    async def _keep_saving(self) -> None:
        while True:
            await asyncio.sleep(self._settings.follow_interval_s)
            self._save()

    def _save(self) -> None:
        """Move the checkpoints; one save for all tasks, for each waits for the disk."""
        try:
            for checkpoint in (self._asked, self._reported):
                checkpoint.save(self._validations.sync)
        except OSError as error:  # they stay behind, and records repeat after a kill
            log.warning("checkpoint_not_saved", reason=str(error))

    def forget_executions(self, _task: str, execution_ids: frozenset[str]) -> None:
        """Log no validation of these, however long their oracle takes."""
        self._validations.forgotten |= execution_ids

    def _validator(
        self, task: str, validation: TaskValidation, sampler: TaskSampler
    ) -> TaskValidator | OutcomeValidator:
        if isinstance(validation, OutcomeValidation):
            return OutcomeValidator(
                task,
                self._layout,
                self.comparing[task],
                sampler,
                self._reported,
                self._validations,
                self._settings,
                is_every_execution_reported=validation.every_execution_reported,
            )
        oracle = self._oracle(task, validation)
        examiner = Examiner(
            oracle=oracle,
            comparing=self.comparing[task],
            limits=self._limits(validation),
        )
        kept = self._asked, self._validations, self._settings
        if isinstance(oracle, HomeQuestions):
            return HomeValidator(task, self._layout, examiner, sampler, *kept, oracle, self._desk)
        return TaskValidator(task, self._layout, examiner, sampler, *kept)

    def _oracle(self, task: str, validation: TaskValidation) -> Oracle:
        if isinstance(validation, ProgramValidation):
            if self._pool is None:
                raise AssertionError("a program oracle brings a pool")
            return ProgramOracle(task, validation, self._pool)
        if isinstance(validation, ControlPlaneValidation):
            return HomeQuestions(self._desk, self._privacy, self._audit)
        # An HTTP client, for those who ask one.
        from edged.agent.oracles.anthropic import AnthropicOracle
        from edged.agent.oracles.egress import Egress
        from edged.agent.oracles.http import HttpOracle
        from edged.agent.oracles.messages import Messages

        if isinstance(validation, HttpValidation):
            return HttpOracle(validation, Egress(validation.url, self._privacy, self._audit))
        if isinstance(validation, AnthropicValidation):
            messages = Messages(self._deployment.anthropic)
            egress = Egress(messages.url, self._privacy, self._audit)
            return AnthropicOracle(validation, messages, egress, self._layout)
        raise AssertionError(f"no oracle {validation.oracle}")

    def _limits(self, validation: TaskValidation) -> Limits:
        questions = getattr(validation, "budget_per_day", None)
        sampling = self._deployment.sampling
        if "active" in sampling.strategies:
            own = sampling.budget_per_day if questions is None else questions
            questions = min(sampling.budget_per_day, own)
        return Limits(questions=questions, cost_usd=getattr(validation, "budget_usd_per_day", None))


def _pool(validations: Iterable[TaskValidation], require: tuple[str, ...]) -> Pool | None:
    """Return a small pool, one worker for each reference program; None when there is none."""
    references = [each for each in validations if isinstance(each, ProgramValidation)]
    if not references:
        return None
    settings = PoolSettings(
        workers_per_version=1,
        max_workers=len(references),
        time_limit_ms=max(each.timeout_ms for each in references),
        require=require,
    )
    return Pool(settings)


async def _keep_pool(pool: Pool) -> None:
    """Run the pool; without it the other oracles go on."""
    try:
        await pool.run()
    except PoolError as error:
        log.error("reference_pool_ended", reason=str(error))
