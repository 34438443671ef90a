"""Requests to a person, and the answers: a note, a revision, an example, a label, a voided oracle.

Runs in: server (read, resolve), jobs (resolve what was answered by deed). Talks to: the database.
Never: opens a ticket; that happens where the last attempt ends, in one transaction with it.
"""

from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.errors import TicketClosed, TicketUnknown
from controlplane.improvement.improvements import RESOLVED
from controlplane.storage import events, outbox
from controlplane.storage.database import Database
from controlplane.storage.loop_models import ImprovementRow, ReviewRow, TicketRow, ValidationRow
from controlplane.storage.models import ExampleRow, TaskRevision, TaskRow

log = structlog.get_logger()

OPEN, CLOSED = "open", "resolved"
LISTED = 100
QUIET = timedelta(seconds=5)  # a person gives several labels; the answer is over when none follow


class Tickets:
    """The tickets of all tasks."""

    def __init__(self, database: Database, clock: Clock, *, quiet: timedelta = QUIET) -> None:
        """quiet: how long after a deed a ticket counts as answered by it."""
        self._database = database
        self._clock = clock
        self._quiet = quiet

    async def list(
        self, organisation_id: str, *, status: str | None = None, task_id: str | None = None
    ) -> list[TicketRow]:
        """Return the newest hundred, newest first."""
        wanted = {"organisation_id": organisation_id, "status": status, "task_id": task_id}
        given = {name: value for name, value in wanted.items() if value is not None}
        query = select(TicketRow).filter_by(**given).order_by(TicketRow.created_at.desc())
        async with self._database.reading() as session:
            return list(await session.scalars(query.limit(LISTED)))

    async def find(self, organisation_id: str, ticket_id: str) -> TicketRow:
        """Raises TicketUnknown."""
        async with self._database.reading() as session:
            return await _row(session, organisation_id, ticket_id)

    async def of_improvement(self, improvement_id: str) -> TicketRow | None:
        query = select(TicketRow).filter_by(improvement_id=improvement_id)
        async with self._database.reading() as session:
            return await session.scalar(query)

    async def resolve(self, organisation_id: str, ticket_id: str, note: str) -> TicketRow:
        """Take the answer; the loop goes on. Raises TicketUnknown, TicketClosed."""
        async with self._database.writing() as session:
            row = await _row(session, organisation_id, ticket_id)
            if row.status != OPEN:
                raise TicketClosed(ticket=ticket_id)
            await self._close(session, row, note)
        return row

    async def resolve_answered(self) -> None:
        """Close every open ticket whose task a person has bettered since it was opened."""
        async with self._database.reading() as session:
            rows = list(await session.scalars(select(TicketRow).filter_by(status=OPEN)))
            notes = {row.id: await self._answer(session, row) for row in rows}
        for row in rows:
            note = notes[row.id]
            if note is not None:
                with suppress(TicketClosed):  # a person was quicker
                    await self.resolve(row.organisation_id, row.id, note)

    async def _answer(self, session: AsyncSession, row: TicketRow) -> str | None:
        """Return what a person did since the ticket was opened, once some time has passed."""
        deeds = await _deeds(session, row)
        done = {note: at for note, at in deeds.items() if at is not None and at > row.created_at}
        if not done or max(done.values()) > self._clock() - self._quiet:
            return None
        return ", ".join(done)

    async def _close(self, session: AsyncSession, row: TicketRow, note: str) -> None:
        row.status, row.note, row.resolved_at = CLOSED, note, self._clock()
        improvement = await session.get_one(ImprovementRow, row.improvement_id)
        entry = {"status": RESOLVED, "at": self._clock().isoformat(), "reason": note}
        improvement.status, improvement.reason = RESOLVED, note
        improvement.history = [*improvement.history, entry]
        task = await session.get_one(TaskRow, row.task_id)
        content = {"ticket_id": row.id, "status": row.status, "reason": note}
        organisation_id = row.organisation_id
        events.publish(
            session,
            self._clock,
            organisation_id=organisation_id,
            kind="OnTicket",
            task=task.name,
            content=content,
        )
        outbox.announce(
            session,
            self._clock,
            organisation_id=organisation_id,
            topic=outbox.TELEMETRY,
            subject=task.name,
        )
        log.info("ticket_resolved", ticket=row.id, task=task.name)


async def _deeds(session: AsyncSession, row: TicketRow) -> dict[str, datetime | None]:
    """Return each kind of answer in words, and when it was last given."""
    task = await session.get_one(TaskRow, row.task_id)
    newest = {
        "the specification was revised": select(func.max(TaskRevision.created_at)).filter_by(
            task_id=task.id
        ),
        "examples were added": select(func.max(ExampleRow.created_at)).filter_by(task_id=task.id),
        "labels were given": select(func.max(ReviewRow.created_at)).filter_by(task_id=task.id),
        "an oracle's labels were voided": select(func.max(ValidationRow.voided_at)).filter_by(
            organisation_id=task.organisation_id, task=task.name
        ),
    }
    return {note: await session.scalar(query) for note, query in newest.items()}


async def _row(session: AsyncSession, organisation_id: str, ticket_id: str) -> TicketRow:
    row = await session.get(TicketRow, ticket_id)
    if row is None or row.organisation_id != organisation_id:
        raise TicketUnknown(ticket=ticket_id)
    return row
