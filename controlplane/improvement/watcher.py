"""Look after every task: settle rollouts, take answers, begin an attempt where one is due.

Woken by telemetry, reviews and answers through the outbox, and looking at everything now and then,
since an edge that falls silent wakes nobody. Each look decides from the database alone, so a look
that is repeated or lost changes nothing.
Runs in: jobs. Talks to: rollouts, tickets, labels. Never: does the work of an attempt.
"""

import asyncio
import time
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.improvement.alarm import FailureEstimate
from controlplane.improvement.attempt import Attempt
from controlplane.improvement.improvements import (
    OPEN,
    PROMOTED,
    RESOLVED,
    WAITING,
    Improvements,
    Trigger,
)
from controlplane.improvement.settings import ImprovementSettings
from controlplane.improvement.sight import Sight
from controlplane.improvement.tickets import Tickets
from controlplane.improvement.training import assemble, permitting
from controlplane.reviews.labels import Audit, Labels
from controlplane.rollouts import verdict
from controlplane.rollouts.rollouts import Rollouts
from controlplane.storage import outbox
from controlplane.storage.activation import ACTIVE
from controlplane.storage.database import Database
from controlplane.storage.loop_models import ImprovementRow
from controlplane.storage.models import ArtifactRow, TaskRow
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.specification import Task

log = structlog.get_logger()

POLL_INTERVAL_S = 0.3
FULL_LOOK_S = 60.0
RETRY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherParts:
    """What is looked at, and what is done about it."""

    database: Database
    tasks: Tasks
    labels: Labels
    sight: Sight
    improvements: Improvements
    tickets: Tickets
    rollouts: Rollouts
    attempt: Attempt
    settings: ImprovementSettings


class Watcher:
    """One for all tasks."""

    name = "watcher"

    def __init__(self, parts: WatcherParts) -> None:
        self._parts = parts
        self._last_id = 0
        self._looked_s = float("-inf")  # when everything was looked at

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except SQLAlchemyError:
                log.exception("watcher_cannot_read", retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(POLL_INTERVAL_S)

    async def look(self) -> None:
        """Do everything that is due now."""
        await self._parts.rollouts.settle()
        await self._conclude()
        if not self._parts.settings.is_enabled:
            return
        await self._parts.tickets.resolve_answered()
        for organisation_id, task in await self._due():
            await self._consider(await self._parts.tasks.find(organisation_id, task))

    async def _due(self) -> list[tuple[str, str]]:
        """Return (organisation, task) that something happened to; all of them now and then."""
        database = self._parts.database
        async with database.reading() as session:
            self._last_id, news = await outbox.subjects_since(
                session, self._last_id, outbox.TELEMETRY
            )
            if time.monotonic() - self._looked_s < FULL_LOOK_S:
                return sorted(news & await _served(session))
            self._looked_s = time.monotonic()
            return sorted(await _served(session))

    async def _conclude(self) -> None:
        """End every attempt whose rollout has ended."""
        for row in await self._parts.improvements.rolling_out():
            rollout = await self._parts.rollouts.of_improvement(row.id)
            if rollout is None or rollout.finished_at is None:
                continue
            if rollout.status == verdict.ROLLED_BACK:
                reason = f"v{rollout.to_version} was rolled back by {rollout.reason}"
                await self._parts.attempt.reject(row.id, reason)
                continue
            # A candidate that was withdrawn or aborted has been shown neither better nor worse.
            status = PROMOTED if rollout.status == verdict.PROMOTED else RESOLVED
            reason = f"v{rollout.to_version} {rollout.status}: {rollout.reason}"
            await self._parts.improvements.move(row.id, status, reason=reason)

    async def _consider(self, task: Task) -> None:
        """Begin an attempt for this task, if one is due."""
        last = next(iter(await self._parts.improvements.of_task(task.id, limit=1)), None)
        if last is not None and last.status in (*OPEN, WAITING):
            return
        version = await self._active(task)
        if version is None or await self._parts.rollouts.open_of(task.id) is not None:
            return
        audit = await self._parts.sight.audit(task, version)
        failing = self._parts.sight.weigh(version, audit)
        is_answered = last is not None and await self._is_answered(last)
        if not (failing.is_alarm or is_answered):
            return
        known = await self._parts.labels.count(task.organisation_id, task.name)
        if not self._is_news(last, known, is_answered=is_answered and not audit.is_private):
            return
        if await self._is_teachable(task, version, audit):
            await self._trigger(task, failing, known, is_answered=is_answered)

    async def _active(self, task: Task) -> int | None:
        query = select(ArtifactRow.version).filter_by(task_id=task.id, status=ACTIVE)
        async with self._parts.database.reading() as session:
            return await session.scalar(query)

    async def _is_answered(self, last: ImprovementRow) -> bool:
        """Say whether a person just answered: then a try is due, alarm or not."""
        if last.status != RESOLVED:
            return False
        return await self._parts.tickets.of_improvement(last.id) is not None

    def _is_news(self, last: ImprovementRow | None, known: int, *, is_answered: bool) -> bool:
        """Say whether enough is known that the last attempt did not know."""
        if last is None or last.status == PROMOTED or is_answered:
            return True
        return known - last.labels_known >= self._parts.settings.labels_between_attempts

    async def _is_teachable(self, task: Task, version: int, audit: Audit) -> bool:
        """Say whether there are rows enough to learn from and to judge by.

        Where no text ever comes, waiting is of no use: the attempt will ask a person.
        """
        settings = self._parts.settings
        labelled = await self._parts.labels.labelled(task.organisation_id, task.name)
        if not labelled:
            return audit.is_private or len(audit.failures) >= settings.min_labels
        permits = permitting(task.input_schema, task.output_schema)
        material = await asyncio.to_thread(assemble, [], labelled, [], permits, settings)
        failures = sum(row.is_failure and row.version == version for row in labelled)
        return (
            material.learnt + len(material.sealed) >= settings.min_labels
            and failures >= settings.min_failures
            and len(material.sealed) >= settings.min_sealed
        )

    async def _trigger(
        self, task: Task, failing: FailureEstimate, known: int, *, is_answered: bool
    ) -> None:
        asked = "" if failing.is_alarm or not is_answered else "a person answered; "
        await self._parts.improvements.trigger(
            Trigger(
                organisation_id=task.organisation_id,
                task_id=task.id,
                task=task.name,
                version=failing.version,
                evidence=failing.as_json(),
                reason=asked + failing.words,
                labels_known=known,
            )
        )


async def _served(session: AsyncSession) -> set[tuple[str, str]]:
    """Return (organisation, task) of all tasks that some version serves."""
    query = (
        select(TaskRow.organisation_id, TaskRow.name)
        .join(ArtifactRow, ArtifactRow.task_id == TaskRow.id)
        .where(ArtifactRow.status == ACTIVE)
    )
    return {(row[0], row[1]) for row in (await session.execute(query)).all()}
