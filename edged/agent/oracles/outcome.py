"""Truths that callers report later: matched with their executions, compared, written down.

Runs in: the agent. Talks to: the outcome log, the execution log, the validation log. Never: takes
what callers chose to report for a measurement.

Reports are self-selected: a caller tells of failures more often than of successes. So a truth
counts for the audit channel only where the execution was in the audit draw anyway; the others are
marked `reported`, without an inclusion probability, and can teach but not measure. Where a task
declares that every execution gets its truth, each one is an audit sample with probability 1.
"""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
import structlog

from edged.agent.asking import Asking
from edged.agent.checkpoints import Checkpoint, Limits
from edged.agent.comparing import Comparing
from edged.agent.sampling import TaskSampler
from edged.agent.validations import (
    Channel,
    Executed,
    Validation,
    ValidationCounts,
    ValidationLog,
)
from edged.agent.validator import ValidatorSettings
from edged.datasets.follower import Chunk, Follower
from edged.datasets.layout import Layout
from edged.datasets.lookup import find_lines

log = structlog.get_logger()
ORACLE: Final = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """One line of the outcome log."""

    execution_id: str
    truth: Any


class OutcomeValidator:
    """One task's reported truths, from the outcome log to the validation log."""

    def __init__(
        self,
        task: str,
        layout: Layout,
        comparing: Comparing,
        sampler: TaskSampler,
        checkpoint: Checkpoint,
        validations: ValidationLog,
        settings: ValidatorSettings,
        *,
        is_every_execution_reported: bool,
    ) -> None:
        self._task = task
        self._layout = layout
        self._comparing = comparing
        self._sampler = sampler
        self._checkpoint = checkpoint
        self._validations = validations
        self._settings = settings
        self._is_every_execution_reported = is_every_execution_reported
        self.counts = ValidationCounts()
        self._asking = Asking(
            task,
            checkpoint.budget,
            validations.forgotten,
            settings.patience,
            self.counts,
            Limits(),
        )

    def resample(self, sampler: TaskSampler, _limits: Limits) -> None:
        self._sampler = sampler

    def status(self) -> dict[str, Any]:
        """Return what a person asks for."""
        return {
            "oracle": ORACLE,
            "oracle_answers": self._asking.is_well,
            "since_start": asdict(self.counts),
        }

    async def run(self) -> None:
        """Work until cancelled; whatever fails is tried again, from the checkpoint."""
        attempt = 0
        while True:
            try:
                await self.follow()
                attempt = 0
                await asyncio.sleep(self._settings.follow_interval_s)
            except Exception as error:  # noqa: BLE001 one task's trouble is not the others'
                reason = f"{type(error).__name__}: {error}"
                log.warning("outcomes_delayed", task=self._task, reason=reason)
                await self._settings.patience.wait(attempt)
                attempt += 1

    async def follow(self) -> None:
        """Match everything that was reported since the checkpoint."""
        follower = Follower(
            self._layout, "outcomes", dict(self._checkpoint.positions), task=self._task
        )
        for chunk in follower.read():
            await self._match(chunk)
            self._checkpoint.positions[chunk.key] = chunk.end

    async def _match(self, chunk: Chunk) -> None:
        reports = [report for line in chunk.lines if (report := self._parse(line)) is not None]
        ids = [report.execution_id for report in reports]
        # In a thread: it may read much of a day's file.
        lines = await asyncio.to_thread(find_lines, self._layout, self._task, ids)
        found = []
        for report in reports:
            validation = await self._validate(report, lines.get(report.execution_id))
            if validation is not None:
                found.append(validation)
        self._validations.append(self._task, found)
        for validation in found:
            self.counts.count(validation)

    def _parse(self, line: bytes) -> Reported | None:
        try:
            fields = orjson.loads(line)
            return Reported(execution_id=str(fields["execution_id"]), truth=fields["truth"])
        except (ValueError, KeyError, TypeError):
            self.counts.skip("malformed")
            return None

    async def _validate(self, report: Reported, line: bytes | None) -> Validation | None:
        if line is None:
            self.counts.skip("unknown_execution")  # never here, no longer kept, or unreadable
            return None
        try:
            executed = Executed.of(orjson.loads(line))
        except ValueError:
            self.counts.skip("malformed_execution")
            return None
        if executed.is_cut_by_caller:
            self.counts.skip("cut_by_caller")
            return None
        compared = await self._asking.compare(self._comparing, executed, report.truth)
        if compared is None:
            return None
        channel, inclusion = self._channel(executed)
        return Validation(
            executed=executed,
            oracle=ORACLE,
            truth=report.truth,
            cost=compared.cost,
            latency_ms=0.0,
            comparison=compared.comparison,
            channel=channel,
            inclusion=inclusion,
        )

    def _channel(self, executed: Executed) -> tuple[Channel, float | None]:
        if self._is_every_execution_reported:
            return "audit", 1.0
        # The other channels ask; they cannot make a caller report.
        sample = self._sampler.audit(executed.execution_id)
        return ("reported", None) if sample is None else ("audit", sample.inclusion_probability)
