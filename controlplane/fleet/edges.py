"""Know the edges: who is enrolled, what each last said, which are connected now.

Runs in: the server. Talks to: the database. Never: decides what an edge should serve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from controlplane.clock import Clock
from controlplane.errors import EdgeUnknown, LinkMisused, RequestInvalid
from controlplane.storage import sequence
from controlplane.storage.database import Database
from controlplane.storage.models import EdgeRow, EdgeTask

log = structlog.get_logger()
PRIVACY_FLOORS = ("", "permissive", "balanced", "strict")  # ever tighter


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCondition:
    """How an edge fares with one task."""

    task: str
    state: str  # applying, applied or failed
    serving_version: int
    target_version: int
    stage: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What an edge says of itself when it connects."""

    deployment_id: str
    edge_version: str
    log_id: str
    privacy_mode: str
    applied_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What people want of one edge besides versions. settings: by section and key."""

    settings: Mapping[str, Any]
    privacy_floor: str = ""


class Edges:
    """The organisation's edges, as stored."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def enrol(
        self, organisation_id: str, *, deployment_id: str, name: str, edge_version: str
    ) -> str:
        """Return the deployment's id: the one sent, or a new one.

        An id that is not known is taken over, so that edges survive the loss of our database.
        Raises LinkMisused for an id that is no UUID, or another organisation's.
        """
        chosen = _uuid(deployment_id) if deployment_id else str(uuid7())
        async with self._database.writing() as session:
            row = await session.get(EdgeRow, chosen)
            if row is None:
                row = EdgeRow(
                    deployment_id=chosen,
                    organisation_id=organisation_id,
                    enrolled_at=self._clock(),
                )
                session.add(row)
            elif row.organisation_id != organisation_id:
                raise LinkMisused(reason="deployment_id: belongs to somebody else")
            row.name = name
            row.edge_version = edge_version
        return chosen

    async def greet(self, organisation_id: str, greeting: Greeting) -> None:
        """Record a new connection. Raises EdgeUnknown for another organisation's.

        An id that nobody has is taken over: the key is good, so this edge was enrolled with a
        database that was since restored from an older copy.
        """
        async with self._database.writing() as session:
            row = await session.get(EdgeRow, greeting.deployment_id)
            if row is None:
                row = self._adopted(organisation_id, greeting.deployment_id)
                session.add(row)
            elif row.organisation_id != organisation_id:
                raise EdgeUnknown(deployment_id=greeting.deployment_id)
            row.last_seen_at = self._clock()
            row.edge_version = greeting.edge_version
            row.log_id = greeting.log_id
            row.privacy_mode = greeting.privacy_mode
            row.applied_sequence = greeting.applied_sequence

    async def record_heartbeat(
        self,
        organisation_id: str,
        deployment_id: str,
        *,
        conditions: Sequence[TaskCondition],
        batches_pending: int,
        problems: Sequence[str],
    ) -> None:
        async with self._database.writing() as session:
            row = await _edge(session, organisation_id, deployment_id)
            row.last_seen_at = self._clock()
            row.batches_pending = batches_pending
            row.problems = list(problems)
            await self._record(session, row, conditions)

    async def record_report(
        self,
        organisation_id: str,
        deployment_id: str,
        *,
        conditions: Sequence[TaskCondition],
        applied_sequence: int,
        refused: str,
        settings_refused: Mapping[str, str],
    ) -> None:
        """Record the answer to a state; refused: why the whole of it was, or ""."""
        async with self._database.writing() as session:
            row = await _edge(session, organisation_id, deployment_id)
            row.last_seen_at = self._clock()
            row.refused = refused
            if not refused:
                row.applied_sequence = applied_sequence
                row.settings_refused = dict(settings_refused)
            await self._record(session, row, conditions)

    async def wishes(self, organisation_id: str, deployment_id: str) -> Wishes:
        """Return what people want of an edge. Raises EdgeUnknown."""
        async with self._database.reading() as session:
            row = await _edge(session, organisation_id, deployment_id)
        return Wishes(settings=row.settings, privacy_floor=row.privacy_floor)

    async def wish(self, organisation_id: str, deployment_id: str, wishes: Wishes) -> EdgeRow:
        """Replace them, and tell the edge. Raises EdgeUnknown, or RequestInvalid to loosen."""
        async with self._database.writing() as session:
            row = await _edge(session, organisation_id, deployment_id)
            floors = (
                PRIVACY_FLOORS.index(row.privacy_floor),
                PRIVACY_FLOORS.index(wishes.privacy_floor),
            )
            if wishes.privacy_floor and floors[1] < floors[0]:
                reason = f"is {row.privacy_floor} already, and is only ever tightened"
                raise RequestInvalid(field="privacy_floor", reason=reason)
            row.settings = dict(wishes.settings)
            row.privacy_floor = PRIVACY_FLOORS[max(floors)]
            await sequence.advance(session, self._clock, organisation_id)
            return row

    async def list(self, organisation_id: str) -> list[EdgeRow]:
        query = select(EdgeRow).filter_by(organisation_id=organisation_id)
        async with self._database.reading() as session:
            return list(await session.scalars(query.order_by(EdgeRow.enrolled_at)))

    async def conditions(self, organisation_id: str) -> Mapping[str, Sequence[EdgeTask]]:
        """Return deployment → its tasks, by name."""
        query = select(EdgeTask).filter_by(organisation_id=organisation_id).order_by(EdgeTask.task)
        found: dict[str, list[EdgeTask]] = {}
        async with self._database.reading() as session:
            for row in await session.scalars(query):
                found.setdefault(row.deployment_id, []).append(row)
        return found

    def _adopted(self, organisation_id: str, deployment_id: str) -> EdgeRow:
        log.warning("edge_adopted", edge=deployment_id)
        return EdgeRow(
            deployment_id=deployment_id,
            organisation_id=organisation_id,
            name=deployment_id,
            enrolled_at=self._clock(),
        )

    async def _record(
        self, session: AsyncSession, edge: EdgeRow, conditions: Sequence[TaskCondition]
    ) -> None:
        for condition in conditions:
            row = EdgeTask(
                organisation_id=edge.organisation_id,
                deployment_id=edge.deployment_id,
                task=condition.task,
                state=condition.state,
                serving_version=condition.serving_version,
                target_version=condition.target_version,
                stage=condition.stage,
                reason=condition.reason,
                updated_at=self._clock(),
            )
            await session.merge(row)


async def _edge(session: AsyncSession, organisation_id: str, deployment_id: str) -> EdgeRow:
    row = await session.get(EdgeRow, deployment_id)
    if row is None or row.organisation_id != organisation_id:
        raise EdgeUnknown(deployment_id=deployment_id)
    return row


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise LinkMisused(reason="deployment_id: must be a UUID") from error
