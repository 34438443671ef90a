"""Tell the server's waiters that a row changed, whichever process changed it.

A writer adds a row to the outbox in its own transaction; the server polls the table and wakes who
subscribed to the topic. A wake-up is only a hint to read again, so a doubled or late one is
harmless. Events (events.py) use the same table and carry content. Polling costs one indexed query
in 200 ms and works on every database.
Runs in: jobs (announce), server (announce, follow). Never: reads what a row says.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.storage.database import Database
from controlplane.storage.models import OutboxRow

log = structlog.get_logger()

POLL_INTERVAL_S = 0.2
KEEP = timedelta(minutes=10)  # a row is read within a second
RETRY_S = 5.0
POLLS_PER_PRUNING = 600  # two minutes

ANSWERS = "answers"  # subject: deployment
FLEET = "fleet"  # subject: organisation
GENERATION = "generation"  # subject: generation's id
TELEMETRY = "telemetry"  # subject: task's name
KEYS = "keys"  # one was revoked; subject: everybody
EVERYBODY = "*"


def announce(
    session: AsyncSession, clock: Clock, *, organisation_id: str, topic: str, subject: str
) -> None:
    """Add a wake-up that takes effect when the session commits."""
    session.add(
        OutboxRow(organisation_id=organisation_id, topic=topic, subject=subject, created_at=clock())
    )


async def newest_id(session: AsyncSession) -> int:
    return await session.scalar(select(func.max(OutboxRow.id))) or 0


async def subjects_since(
    session: AsyncSession, last_id: int, topic: str
) -> tuple[int, set[tuple[str, str]]]:
    """Return the newest id and (organisation, subject) of the topic's rows after `last_id`."""
    query = select(OutboxRow).where(OutboxRow.id > last_id).order_by(OutboxRow.id)
    rows = (await session.scalars(query)).all()
    found = {(row.organisation_id, row.subject) for row in rows if row.topic == topic}
    return (rows[-1].id if rows else last_id), found


class Wakeups:
    """Who waits for what, within this process."""

    def __init__(self) -> None:
        self._waiting: defaultdict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)
        self.is_closed = False

    @contextmanager
    def subscribed(self, topic: str, subject: str) -> Iterator[asyncio.Event]:
        """Yield an event: clear it, read, then wait for it, so that no change is missed."""
        event = asyncio.Event()
        waiting = self._waiting[topic, subject]
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop((topic, subject), None)

    def wake(self, topic: str, subject: str) -> None:
        for event in self._waiting.get((topic, subject), ()):
            event.set()

    def close(self) -> None:
        """Wake everybody for good: the process is stopping."""
        self.is_closed = True
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()


class OutboxFollower:
    """Turn new rows of the outbox into wake-ups."""

    name = "outbox"

    def __init__(
        self,
        database: Database,
        wakeups: Wakeups,
        clock: Clock,
        *,
        take: Callable[[Sequence[OutboxRow]], None] = lambda _: None,
    ) -> None:
        """take: is given all new rows, in order, and may not wait."""
        self._database = database
        self._wakeups = wakeups
        self._clock = clock
        self._take = take

    async def run(self) -> None:
        last_id = await self._last_id()
        polls = 0
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            try:
                last_id = await self._follow(last_id)
                polls += 1
                if polls % POLLS_PER_PRUNING == 0:
                    await self._prune(last_id)
            except SQLAlchemyError:
                # Waiters look for themselves every so often; the doors stay open meanwhile.
                log.exception("outbox_unreadable", retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)

    async def _last_id(self) -> int:
        async with self._database.reading() as session:
            return await newest_id(session)

    async def _follow(self, last_id: int) -> int:
        query = select(OutboxRow).where(OutboxRow.id > last_id).order_by(OutboxRow.id)
        async with self._database.reading() as session:
            rows = (await session.scalars(query)).all()
        for row in rows:
            self._wakeups.wake(row.topic, row.subject)
        self._take(rows)
        return rows[-1].id if rows else last_id

    async def _prune(self, last_id: int) -> None:
        # The newest row stays: SQLite would give its id again to a row that we then never see.
        is_old = (OutboxRow.created_at < self._clock() - KEEP) & (OutboxRow.id < last_id)
        async with self._database.writing() as session:
            await session.execute(delete(OutboxRow).where(is_old))
