"""Take people's labels, and void an oracle's that turned out wrong.

Runs in: the server. Talks to: the database. Never: deletes a label; a voided one only stops
counting.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.errors import ExecutionUnknown
from controlplane.reviews.labels import canonical
from controlplane.storage import outbox
from controlplane.storage.database import Database
from controlplane.storage.loop_models import ReviewRow, ValidationRow
from controlplane.storage.models import ExecutionSample

LISTED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A person's word on one execution."""

    execution_id: str
    task_id: str
    task: str  # its name
    label: Any
    reviewer: str


class Reviews:
    """What people said."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def task_of(self, organisation_id: str, execution_id: str) -> str:
        """Return the name of the execution's task. Raises ExecutionUnknown."""
        query = select(ExecutionSample.task).filter_by(
            organisation_id=organisation_id, execution_id=execution_id
        )
        async with self._database.reading() as session:
            task = await session.scalar(query)
        if task is None:
            raise ExecutionUnknown(execution=execution_id)
        return task

    async def add(self, organisation_id: str, review: Review) -> ReviewRow:
        """Store it; it supersedes older ones and every oracle's."""
        row = ReviewRow(
            organisation_id=organisation_id,
            task_id=review.task_id,
            execution_id=review.execution_id,
            label_json=canonical(review.label).decode(),
            reviewer=review.reviewer,
            created_at=self._clock(),
        )
        async with self._database.writing() as session:
            session.add(row)
            self._tell(session, organisation_id, review.task)
        return row

    async def list(self, organisation_id: str, task_id: str) -> list[ReviewRow]:
        """Return the newest two hundred, newest first."""
        query = select(ReviewRow).filter_by(organisation_id=organisation_id, task_id=task_id)
        async with self._database.reading() as session:
            return list(await session.scalars(query.order_by(ReviewRow.id.desc()).limit(LISTED)))

    async def void(
        self, organisation_id: str, task: str, *, oracle: str | None, since: datetime
    ) -> int:
        """Let labels given since then count no more; return how many. oracle None: of any."""
        is_meant = (
            (ValidationRow.organisation_id == organisation_id)
            & (ValidationRow.task == task)
            & (ValidationRow.validated_at >= since)
            & ValidationRow.voided_at.is_(None)
        )
        if oracle is not None:
            is_meant &= ValidationRow.oracle == oracle
        change = update(ValidationRow).where(is_meant).values(voided_at=self._clock())
        async with self._database.writing() as session:
            result = cast("CursorResult[Any]", await session.execute(change))
            self._tell(session, organisation_id, task)
        return result.rowcount

    def _tell(self, session: AsyncSession, organisation_id: str, task: str) -> None:
        outbox.announce(
            session,
            self._clock,
            organisation_id=organisation_id,
            topic=outbox.TELEMETRY,
            subject=task,
        )
