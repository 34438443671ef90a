"""Decide what edges should serve: the active version of every task, under one sequence.

Runs in: the server. Talks to: the database. Never: signs or sends.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy import select

from controlplane.clock import Clock
from controlplane.storage import sequence
from controlplane.storage.database import Database
from controlplane.storage.models import ArtifactRow, FleetSequence, TaskRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One task and the version it should be served by."""

    task: str
    revision: int
    version: int
    digest: str
    size_bytes: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """What all edges of an organisation should reach; always whole."""

    sequence: int
    targets: tuple[Target, ...]  # by task's name

    def restricted_to(self, tasks: Collection[str]) -> "FleetState":
        """Return the part for an edge that serves these tasks only; empty means all."""
        if not tasks:
            return self
        return replace(self, targets=tuple(row for row in self.targets if row.task in tasks))


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
        query = (
            select(TaskRow, ArtifactRow)
            .join(ArtifactRow, ArtifactRow.task_id == TaskRow.id)
            .where(TaskRow.organisation_id == organisation_id, ArtifactRow.status == "active")
            .order_by(TaskRow.name)
        )
        async with self._database.reading() as session:
            counted = await session.get(FleetSequence, organisation_id)
            newest = counted.sequence if counted else 0
            known = self._known.get(organisation_id)
            if known is not None and known.sequence == newest:
                return known
            rows = (await session.execute(query)).all()
        targets = tuple(_target(task, artifact) for task, artifact in rows)
        self._known[organisation_id] = FleetState(sequence=newest, targets=targets)
        return self._known[organisation_id]

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


def _target(task: TaskRow, artifact: ArtifactRow) -> Target:
    return Target(
        task=task.name,
        revision=task.revision,
        version=artifact.version,
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
        signature=artifact.signature,
    )
