"""Requests for programs and how far each has come.

The row is the request: `queued` until the jobs process takes it, then training, evaluating, and
done or failed. Runs in: server (request, read), jobs (the rest). Never: makes a program.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from controlplane.clock import Clock
from controlplane.errors import GenerationUnknown
from controlplane.storage import outbox
from controlplane.storage.database import Database
from controlplane.storage.models import GenerationRow

QUEUED, TRAINING, EVALUATING, DONE, FAILED = "queued", "training", "evaluating", "done", "failed"
FINAL = (DONE, FAILED)
REPORT_INTERVAL_S = 0.5  # a progress bar needs no more; every report is a transaction
LISTED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """strategies: empty for all that fit."""

    organisation_id: str
    task_id: str
    strategies: Sequence[str]
    activate: bool


class Generations:
    """The requests of all tasks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def request(self, request: GenerationRequest) -> GenerationRow:
        row = GenerationRow(
            id=str(uuid7()),
            organisation_id=request.organisation_id,
            task_id=request.task_id,
            status=QUEUED,
            progress=0.0,
            reason="",
            strategies=list(request.strategies),
            activate=request.activate,
            created_at=self._clock(),
        )
        async with self._database.writing() as session:
            session.add(row)
        return row

    async def record_made(self, organisation_id: str, task_id: str, generation_id: str) -> None:
        """Record one that was made without a request, by an improvement; once by its id."""
        now = self._clock()
        async with self._database.writing() as session:
            if await session.get(GenerationRow, generation_id) is not None:
                return
            row = GenerationRow(
                id=generation_id,
                organisation_id=organisation_id,
                task_id=task_id,
                status=DONE,
                progress=1.0,
                reason="",
                strategies=[],
                activate=False,
                created_at=now,
                started_at=now,
                finished_at=now,
            )
            session.add(row)

    async def find(self, organisation_id: str, generation_id: str) -> GenerationRow:
        """Raises GenerationUnknown, also for another organisation's."""
        async with self._database.reading() as session:
            row = await session.get(GenerationRow, generation_id)
        if row is None or row.organisation_id != organisation_id:
            raise GenerationUnknown(generation=generation_id)
        return row

    async def read(self, generation_id: str) -> GenerationRow:
        """Return one that is known to exist."""
        async with self._database.reading() as session:
            return await session.get_one(GenerationRow, generation_id)

    async def of_task(self, task_id: str) -> list[GenerationRow]:
        """Return the newest hundred, newest first."""
        query = select(GenerationRow).filter_by(task_id=task_id)
        newest = query.order_by(GenerationRow.created_at.desc()).limit(LISTED)
        async with self._database.reading() as session:
            return list(await session.scalars(newest))

    async def oldest_unfinished(self) -> GenerationRow | None:
        """Return what the jobs process should work on: begun ones come before new ones."""
        unfinished = select(GenerationRow).where(GenerationRow.status.not_in(FINAL))
        async with self._database.reading() as session:
            return await session.scalar(unfinished.order_by(GenerationRow.created_at).limit(1))

    async def report(self, generation_id: str, status: str, progress: float) -> None:
        """Record progress, 0 to 1; a finished generation is left as it is."""
        async with self._database.writing() as session:
            row = await session.get_one(GenerationRow, generation_id)
            if row.status in FINAL:
                return
            row.status = status
            row.progress = max(row.progress, min(progress, 1.0))
            row.started_at = row.started_at or self._clock()
            self._announce(session, row)

    async def finish(self, generation_id: str, *, reason: str | None = None) -> None:
        """Record the end: done, or failed with a reason in words."""
        async with self._database.writing() as session:
            row = await session.get_one(GenerationRow, generation_id)
            if row.status in FINAL:
                return
            row.status = DONE if reason is None else FAILED
            row.progress = 1.0 if reason is None else row.progress
            row.reason = reason or ""
            row.finished_at = self._clock()
            self._announce(session, row)

    def _announce(self, session: AsyncSession, row: GenerationRow) -> None:
        outbox.announce(
            session,
            self._clock,
            organisation_id=row.organisation_id,
            topic=outbox.GENERATION,
            subject=row.id,
        )


class Throttle:
    """Lets a report through when its status is new or the last one is old enough."""

    def __init__(self, interval_s: float = REPORT_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._status = ""
        self._last_s = float("-inf")

    def permits(self, status: str) -> bool:
        now_s = time.monotonic()
        if status == self._status and now_s - self._last_s < self._interval_s:
            return False
        self._status, self._last_s = status, now_s
        return True
