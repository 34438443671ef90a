"""The attempts to better programs, as rows: where each stands and how it came there.

triggered → analysing → generating → evaluating → rolling_out → promoted | rejected;
waiting_for_human after too many rejections in a row, and resolved once the person answered, or
when an attempt ended without a verdict. Every change is safe to repeat: a row that has ended stays.
Runs in: jobs (all), server (read). Talks to: the database. Never: does the work of a status.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from controlplane.clock import Clock
from controlplane.errors import ImprovementUnknown
from controlplane.storage import events
from controlplane.storage.database import Database
from controlplane.storage.loop_models import ImprovementRow, TicketRow
from controlplane.storage.models import TaskRow

log = structlog.get_logger()

TRIGGERED, ANALYSING, GENERATING = "triggered", "analysing", "generating"
EVALUATING, ROLLING_OUT = "evaluating", "rolling_out"
PROMOTED, REJECTED, WAITING, RESOLVED = "promoted", "rejected", "waiting_for_human", "resolved"
AT_WORK = (TRIGGERED, ANALYSING, GENERATING, EVALUATING)
OPEN = (*AT_WORK, ROLLING_OUT)
LISTED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Why an attempt is made: the evidence, and how much was known then."""

    organisation_id: str
    task_id: str
    task: str  # its name
    version: int
    evidence: Mapping[str, Any]
    reason: str
    labels_known: int


class Improvements:
    """The attempts of all tasks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def trigger(self, trigger: Trigger) -> ImprovementRow | None:
        """Begin an attempt, and alert people; None where one is open already."""
        async with self._database.writing() as session:
            await session.get_one(TaskRow, trigger.task_id, with_for_update=True)
            if await _open(session, trigger.task_id) is not None:
                return None
            row = ImprovementRow(
                id=str(uuid7()),
                organisation_id=trigger.organisation_id,
                task_id=trigger.task_id,
                status=TRIGGERED,
                from_version=trigger.version,
                trigger=dict(trigger.evidence),
                patterns=[],
                evaluation={},
                reason=trigger.reason,
                history=[],
                labels_known=trigger.labels_known,
                created_at=self._clock(),
            )
            self._note(row)
            session.add(row)
            self._alert(session, row, trigger.task)
        log.info("improvement_triggered", improvement=row.id, task=trigger.task)
        return row

    async def move(
        self, improvement_id: str, status: str, *, reason: str = "", **facts: Any
    ) -> ImprovementRow:
        """Record that it has come to this status; facts: other columns. One that ended stays."""
        async with self._database.writing() as session:
            row = await session.get_one(ImprovementRow, improvement_id, with_for_update=True)
            if row.finished_at is None:
                for name, value in facts.items():
                    setattr(row, name, value)
                self._set(row, status, reason)
        return row

    async def reject(
        self, improvement_id: str, reason: str, *, content: Mapping[str, Any], most: int
    ) -> ImprovementRow:
        """End it as rejected; the `most`-th in a row asks a person, with this content."""
        async with self._database.writing() as session:
            row = await session.get_one(ImprovementRow, improvement_id, with_for_update=True)
            if row.finished_at is not None:
                return row
            if await _rejected_in_a_row(session, row.task_id) + 1 < most:
                self._set(row, REJECTED, reason)
            else:
                text = f"{most} improvements in a row were rejected; the last: {reason}"
                await self._ask(session, row, text, content)
        return row

    async def ask(
        self, improvement_id: str, reason: str, content: Mapping[str, Any]
    ) -> ImprovementRow:
        """End it by asking a person at once, where no attempt could help."""
        async with self._database.writing() as session:
            row = await session.get_one(ImprovementRow, improvement_id, with_for_update=True)
            if row.finished_at is None:
                await self._ask(session, row, reason, content)
        return row

    async def find(self, organisation_id: str, improvement_id: str) -> ImprovementRow:
        """Raises ImprovementUnknown."""
        async with self._database.reading() as session:
            row = await session.get(ImprovementRow, improvement_id)
        if row is None or row.organisation_id != organisation_id:
            raise ImprovementUnknown(improvement=improvement_id)
        return row

    async def read(self, improvement_id: str) -> ImprovementRow:
        """Return one that is known to exist."""
        async with self._database.reading() as session:
            return await session.get_one(ImprovementRow, improvement_id)

    async def of_task(self, task_id: str, *, limit: int = LISTED) -> list[ImprovementRow]:
        """Return the newest, newest first."""
        query = _of_task(task_id).limit(limit)
        async with self._database.reading() as session:
            return list(await session.scalars(query))

    async def oldest_at_work(self) -> ImprovementRow | None:
        """Return what the jobs process should see through."""
        query = select(ImprovementRow).where(ImprovementRow.status.in_(AT_WORK))
        async with self._database.reading() as session:
            return await session.scalar(query.order_by(ImprovementRow.created_at).limit(1))

    async def rolling_out(self) -> list[ImprovementRow]:
        query = select(ImprovementRow).where(ImprovementRow.status == ROLLING_OUT)
        async with self._database.reading() as session:
            return list(await session.scalars(query))

    async def _ask(
        self, session: AsyncSession, row: ImprovementRow, reason: str, content: Mapping[str, Any]
    ) -> None:
        """Open the ticket in the transaction that ends the attempt, so that there is one."""
        self._set(row, WAITING, reason)
        ticket = TicketRow(
            id=str(uuid7()),
            organisation_id=row.organisation_id,
            task_id=row.task_id,
            improvement_id=row.id,
            status="open",
            reason=reason,
            content=dict(content),
            note="",
            created_at=self._clock(),
        )
        session.add(ticket)
        task = await session.get_one(TaskRow, row.task_id)
        events.publish(
            session,
            self._clock,
            organisation_id=row.organisation_id,
            kind="OnTicket",
            task=task.name,
            content={"ticket_id": ticket.id, "status": ticket.status, "reason": reason},
        )
        log.warning("ticket_opened", ticket=ticket.id, task=task.name)

    def _set(self, row: ImprovementRow, status: str, reason: str) -> None:
        row.status, row.reason = status, reason
        if status not in OPEN:
            row.finished_at = self._clock()
        self._note(row)
        log.info("improvement_moved", improvement=row.id, status=status)

    def _note(self, row: ImprovementRow) -> None:
        entry = {"status": row.status, "at": self._clock().isoformat(), "reason": row.reason}
        # A step that is repeated after a crash comes to the same status again: one entry.
        past = [old for old in row.history if old["status"] != row.status]
        row.history = [*past, entry]

    def _alert(self, session: AsyncSession, row: ImprovementRow, task: str) -> None:
        alert = {"kind": "failure_rate", "message": row.reason, "evidence": row.trigger}
        events.publish(
            session,
            self._clock,
            organisation_id=row.organisation_id,
            kind="OnAlertTriggered",
            task=task,
            content={"alert": alert, "improvement_id": row.id},
        )


def in_a_row(past: Sequence[tuple[str, bool]]) -> int:
    """Count rejections back to the last success or answer. past: (status, was a person asked).

    An attempt that ended without a verdict neither counts nor interrupts. Newest first.
    """
    count = 0
    for status, was_asked in past:
        if status in (PROMOTED, WAITING) or was_asked:
            break
        count += status == REJECTED
    return count


async def _rejected_in_a_row(session: AsyncSession, task_id: str) -> int:
    query = (
        select(ImprovementRow.status, TicketRow.id)
        .outerjoin(TicketRow, TicketRow.improvement_id == ImprovementRow.id)
        .where(ImprovementRow.task_id == task_id, ImprovementRow.finished_at.is_not(None))
        .order_by(ImprovementRow.created_at.desc(), ImprovementRow.id.desc())
        .limit(LISTED)
    )
    rows = (await session.execute(query)).all()
    return in_a_row([(status, ticket is not None) for status, ticket in rows])


async def _open(session: AsyncSession, task_id: str) -> ImprovementRow | None:
    return await session.scalar(_of_task(task_id).where(ImprovementRow.status.in_(OPEN)).limit(1))


def _of_task(task_id: str) -> Select[ImprovementRow]:
    return (
        select(ImprovementRow)
        .filter_by(task_id=task_id)
        .order_by(ImprovementRow.created_at.desc(), ImprovementRow.id.desc())
    )
