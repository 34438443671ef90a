"""Start rollouts, pass on a person's word, and end them as the edges decide.

The edge owns the stage and the verdict; here is only what was asked for and what was decided.
At most one rollout of a task is open. Runs in: server (start, order, read), jobs (start, settle).
Talks to: the database. Never: compares two versions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from controlplane.clock import Clock
from controlplane.errors import RolloutRefused, RolloutUnknown
from controlplane.rollouts.verdict import (
    ABORTED,
    PAUSED,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    Conclusion,
    Word,
    conclude,
)
from controlplane.storage import sequence
from controlplane.storage.activation import ACTIVE, QUARANTINED, activate_version
from controlplane.storage.database import Database
from controlplane.storage.events import publish
from controlplane.storage.loop_models import RolloutCommand, RolloutRow, RolloutStep
from controlplane.storage.models import ArtifactRow, EdgeRow, EdgeTask, TaskRow

log = structlog.get_logger()

LISTED = 100
# What a person may ask in which state, and the state after it.
ORDERS = {
    "pause": ((RUNNING,), PAUSED),
    "resume": ((PAUSED,), RUNNING),
    "force": ((RUNNING, PAUSED), RUNNING),
    "abort": ((RUNNING, PAUSED), ABORTED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRequest:
    """improvement_id: whose attempt it is; the same one starts one rollout, however often."""

    organisation_id: str
    task_id: str
    version: int
    plan: Mapping[str, Any]
    improvement_id: str | None = None


class Rollouts:
    """The rollouts of all tasks."""

    def __init__(self, database: Database, clock: Clock, *, live_within_s: float = 60.0) -> None:
        """live_within_s: an edge that was silent for longer is not waited for."""
        self._database = database
        self._clock = clock
        self._live_within = timedelta(seconds=live_within_s)

    async def start(self, request: RolloutRequest) -> RolloutRow:
        """Begin, and tell the edges. Raises RolloutRefused."""
        async with self._database.writing() as session:
            await session.get_one(TaskRow, request.task_id, with_for_update=True)
            started = await _of_improvement(session, request.improvement_id)
            if started is not None:
                return started
            active, candidate = await _checked(session, request)
            row = RolloutRow(
                id=str(uuid7()),
                organisation_id=request.organisation_id,
                task_id=request.task_id,
                from_version=active.version,
                to_version=candidate.version,
                plan=dict(request.plan),
                status=RUNNING,
                reason="",
                improvement_id=request.improvement_id,
                created_at=self._clock(),
            )
            session.add(row)
            await self._tell(session, row, "start")
        log.info("rollout_started", rollout=row.id, version=row.to_version)
        return row

    async def order(
        self, organisation_id: str, rollout_id: str, kind: str, reason: str
    ) -> RolloutRow:
        """Pass a person's word to the edges. Raises RolloutUnknown, RolloutRefused."""
        permitted, after = ORDERS[kind]
        async with self._database.writing() as session:
            row = await _row(session, organisation_id, rollout_id)
            if row.status not in permitted:
                raise RolloutRefused(reason=f"a rollout that is {row.status} cannot {kind}")
            session.add(
                RolloutCommand(
                    id=str(uuid7()),
                    organisation_id=organisation_id,
                    rollout_id=row.id,
                    kind=kind,
                    reason=reason,
                    created_at=self._clock(),
                )
            )
            row.status, row.reason = after, f"{kind} by a person" + (f": {reason}" * bool(reason))
            if after == ABORTED:
                row.finished_at = self._clock()
            await self._tell(session, row, kind)
        log.info("rollout_ordered", rollout=row.id, kind=kind)
        return row

    async def settle(self) -> list[RolloutRow]:
        """End whatever the edges have decided; return what ended. Doing it again does nothing."""
        open_rows = select(RolloutRow.id).where(RolloutRow.finished_at.is_(None))
        async with self._database.reading() as session:
            ids = list(await session.scalars(open_rows))
        ended = [await self._settle(rollout_id) for rollout_id in ids]
        return [row for row in ended if row is not None]

    async def find(self, organisation_id: str, rollout_id: str) -> RolloutRow:
        """Raises RolloutUnknown."""
        async with self._database.reading() as session:
            return await _row(session, organisation_id, rollout_id)

    async def list(self, organisation_id: str, task_id: str | None = None) -> list[RolloutRow]:
        """Return the newest hundred, newest first."""
        query = select(RolloutRow).filter_by(organisation_id=organisation_id)
        if task_id is not None:
            query = query.filter_by(task_id=task_id)
        newest = query.order_by(RolloutRow.created_at.desc(), RolloutRow.id.desc()).limit(LISTED)
        async with self._database.reading() as session:
            return list(await session.scalars(newest))

    async def of_improvement(self, improvement_id: str) -> RolloutRow | None:
        async with self._database.reading() as session:
            return await _of_improvement(session, improvement_id)

    async def open_of(self, task_id: str) -> RolloutRow | None:
        """Return the task's rollout that is under way."""
        query = select(RolloutRow).filter_by(task_id=task_id)
        async with self._database.reading() as session:
            return await session.scalar(query.where(RolloutRow.finished_at.is_(None)))

    async def steps(self, rollout_id: str) -> Sequence[RolloutStep]:
        """Return the edges' decisions in the order in which they came."""
        async with self._database.reading() as session:
            return await _steps(session, rollout_id)

    async def _settle(self, rollout_id: str) -> RolloutRow | None:
        async with self._database.reading() as session:
            row = await session.get_one(RolloutRow, rollout_id)
            if await self._conclusion(session, row) is None:
                return None
        async with self._database.writing() as session:
            row = await session.get_one(RolloutRow, rollout_id, with_for_update=True)
            conclusion = await self._conclusion(session, row)
            if row.finished_at is not None or conclusion is None:
                return None
            await self._end(session, row, conclusion)
        log.info("rollout_ended", rollout=row.id, status=row.status, version=row.to_version)
        return row

    async def _conclusion(self, session: AsyncSession, row: RolloutRow) -> Conclusion | None:
        words = [
            Word(
                deployment_id=step.deployment_id,
                action=step.action,
                verdict=step.verdict,
                reason=step.reason,
            )
            for step in await _steps(session, row.id)
            if step.organisation_id == row.organisation_id
        ]
        return conclude(words, await self._live(session, row)) if words else None

    async def _live(self, session: AsyncSession, row: RolloutRow) -> set[str]:
        """Return the edges that serve the task and were heard of lately."""
        task = await session.get_one(TaskRow, row.task_id)
        query = (
            select(EdgeRow.deployment_id)
            .join(EdgeTask, EdgeTask.deployment_id == EdgeRow.deployment_id)
            .where(
                EdgeRow.organisation_id == row.organisation_id,
                EdgeRow.last_seen_at > self._clock() - self._live_within,
                EdgeTask.task == task.name,
                EdgeTask.serving_version > 0,
            )
        )
        return set(await session.scalars(query))

    async def _end(self, session: AsyncSession, row: RolloutRow, conclusion: Conclusion) -> None:
        row.status, row.reason = conclusion.status, conclusion.reason
        row.finished_at = self._clock()
        await session.flush()  # so that the activation below finds this rollout closed
        candidate = await _artifact(session, row.task_id, row.to_version)
        if conclusion.status == PROMOTED:
            await activate_version(session, self._clock, candidate)
        elif conclusion.status == ROLLED_BACK:
            candidate.status = QUARANTINED
        await self._tell(session, row, "end")

    async def _tell(self, session: AsyncSession, row: RolloutRow, action: str) -> None:
        """Send the edges a new state, and people an event."""
        await sequence.advance(session, self._clock, row.organisation_id)
        task = await session.get_one(TaskRow, row.task_id)
        publish(
            session,
            self._clock,
            organisation_id=row.organisation_id,
            kind="OnRolloutStep",
            task=task.name,
            content={
                "rollout_id": row.id,
                "version": row.to_version,
                "action": action,
                "status": row.status,
                "reason": row.reason,
            },
        )


async def _checked(
    session: AsyncSession, request: RolloutRequest
) -> tuple[ArtifactRow, ArtifactRow]:
    """Return the active version and the candidate. Raises RolloutRefused."""
    of_task = select(ArtifactRow).filter_by(
        organisation_id=request.organisation_id, task_id=request.task_id
    )
    active = await session.scalar(of_task.filter_by(status=ACTIVE))
    candidate = await session.scalar(of_task.filter_by(version=request.version))
    if candidate is None:
        raise RolloutRefused(reason=f"there is no version v{request.version}")
    if active is None:
        raise RolloutRefused(reason="the first version needs no rollout: activate it")
    if candidate.status in (ACTIVE, QUARANTINED):
        raise RolloutRefused(reason=f"v{request.version} is {candidate.status}")
    is_open = select(RolloutRow).filter_by(task_id=request.task_id)
    other = await session.scalar(is_open.where(RolloutRow.finished_at.is_(None)))
    if other is not None:
        raise RolloutRefused(reason=f"rollout {other.id} of v{other.to_version} is still open")
    return active, candidate


async def _of_improvement(session: AsyncSession, improvement_id: str | None) -> RolloutRow | None:
    if improvement_id is None:
        return None
    return await session.scalar(select(RolloutRow).filter_by(improvement_id=improvement_id))


async def _artifact(session: AsyncSession, task_id: str, version: int) -> ArtifactRow:
    query = select(ArtifactRow).filter_by(task_id=task_id, version=version)
    return (await session.scalars(query)).one()


async def _row(session: AsyncSession, organisation_id: str, rollout_id: str) -> RolloutRow:
    row = await session.get(RolloutRow, rollout_id)
    if row is None or row.organisation_id != organisation_id:
        raise RolloutUnknown(rollout=rollout_id)
    return row


async def _steps(session: AsyncSession, rollout_id: str) -> Sequence[RolloutStep]:
    query = select(RolloutStep).filter_by(rollout_id=rollout_id)
    order = query.order_by(RolloutStep.received_at, RolloutStep.decided_at, RolloutStep.decision_id)
    return (await session.scalars(order)).all()
