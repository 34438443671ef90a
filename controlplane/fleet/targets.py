"""Decide what edges should serve: the active version of every task, and the candidate beside it.

Runs in: the server. Talks to: the database. Never: signs or sends.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.storage import sequence
from controlplane.storage.database import Database
from controlplane.storage.loop_models import RolloutCommand, RolloutRow
from controlplane.storage.models import ArtifactRow, FleetSequence, TaskRow

ORDER_LIFETIME = timedelta(days=1)  # of one about a rollout that is over


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetVersion:
    """A version as an edge has to fetch and check it."""

    version: int
    digest: str
    size_bytes: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate on its way to all traffic; the plan is the rollout's, as stored."""

    rollout_id: str
    candidate: TargetVersion
    plan: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One task and the version it should be served by."""

    task: str
    revision: int
    stable: TargetVersion
    trial: Trial | None = None

    @property
    def version(self) -> int:
        return self.stable.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A person's word about a rollout: pause, resume, abort or force."""

    command_id: str
    task: str
    rollout_id: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """What all edges of an organisation should reach; always whole."""

    sequence: int
    targets: tuple[Target, ...]  # by task's name
    orders: tuple[Order, ...] = ()  # oldest first

    def restricted_to(self, tasks: Collection[str]) -> "FleetState":
        """Return the part for an edge that serves these tasks only; empty means all."""
        if not tasks:
            return self
        return replace(
            self,
            targets=tuple(row for row in self.targets if row.task in tasks),
            orders=tuple(row for row in self.orders if row.task in tasks),
        )


class Targets:
    """The state of each organisation."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, FleetState] = {}  # by organisation; of its newest sequence

    async def current(self, organisation_id: str) -> FleetState:
        """Read sequence and targets in one transaction, so that they belong together.

        Whatever changes a target advances the sequence, so one that is known need not be read.
        """
        async with self._database.reading() as session:
            counted = await session.get(FleetSequence, organisation_id)
            newest = counted.sequence if counted else 0
            known = self._known.get(organisation_id)
            if known is not None and known.sequence == newest:
                return known
            state = FleetState(
                sequence=newest,
                targets=await _targets(session, organisation_id),
                orders=await _orders(session, organisation_id, self._clock() - ORDER_LIFETIME),
            )
        self._known[organisation_id] = state
        return state

    async def catch_up(self, organisation_id: str, reported: int) -> None:
        """Step past the sequence an edge reports, where ours is behind: a restored database."""
        if reported <= (await self.current(organisation_id)).sequence:
            return
        async with self._database.writing() as session:
            row = await session.get(FleetSequence, organisation_id, with_for_update=True)
            # A whole fleet comes back at once: the first edge's report serves the others too.
            if row is None or row.sequence < reported:
                await sequence.advance(session, self._clock, organisation_id, reported=reported)

    async def has_artifact(self, organisation_id: str, digest: str) -> bool:
        """Say whether a version with this digest is the organisation's."""
        query = select(ArtifactRow.id).filter_by(organisation_id=organisation_id, digest=digest)
        async with self._database.reading() as session:
            return await session.scalar(query.limit(1)) is not None


async def _targets(session: AsyncSession, organisation_id: str) -> tuple[Target, ...]:
    query = (
        select(TaskRow, ArtifactRow)
        .join(ArtifactRow, ArtifactRow.task_id == TaskRow.id)
        .where(TaskRow.organisation_id == organisation_id, ArtifactRow.status == "active")
        .order_by(TaskRow.name)
    )
    trials = await _trials(session, organisation_id)
    return tuple(
        Target(
            task=task.name,
            revision=task.revision,
            stable=_version(artifact),
            trial=trials.get(task.id),
        )
        for task, artifact in (await session.execute(query)).all()
    )


async def _trials(session: AsyncSession, organisation_id: str) -> dict[str, Trial]:
    """Return task's id → what is being rolled out there."""
    is_candidate = (ArtifactRow.task_id == RolloutRow.task_id) & (
        ArtifactRow.version == RolloutRow.to_version
    )
    query = (
        select(RolloutRow, ArtifactRow)
        .join(ArtifactRow, is_candidate)
        .where(RolloutRow.organisation_id == organisation_id, RolloutRow.finished_at.is_(None))
    )
    return {
        rollout.task_id: Trial(
            rollout_id=rollout.id, candidate=_version(artifact), plan=rollout.plan
        )
        for rollout, artifact in (await session.execute(query)).all()
    }


async def _orders(
    session: AsyncSession, organisation_id: str, since: datetime
) -> tuple[Order, ...]:
    """Return those of open rollouts, and recent ones of others: an edge may come back late."""
    query = (
        select(RolloutCommand, TaskRow.name)
        .join(RolloutRow, RolloutRow.id == RolloutCommand.rollout_id)
        .join(TaskRow, TaskRow.id == RolloutRow.task_id)
        .where(
            RolloutCommand.organisation_id == organisation_id,
            RolloutRow.finished_at.is_(None) | (RolloutCommand.created_at > since),
        )
        .order_by(RolloutCommand.created_at, RolloutCommand.id)
    )
    return tuple(
        Order(
            command_id=command.id,
            task=task,
            rollout_id=command.rollout_id,
            kind=command.kind,
            reason=command.reason,
        )
        for command, task in (await session.execute(query)).all()
    )


def _version(artifact: ArtifactRow) -> TargetVersion:
    return TargetVersion(
        version=artifact.version,
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
        signature=artifact.signature,
    )
