"""Advance the sequence that orders the states signed for an organisation's edges.

Runs in: whatever transaction changes what edges should serve. Never: goes back, also after the
database was restored from an old copy: the clock and the edges' own reports hold it up.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock, milliseconds
from controlplane.storage import outbox
from controlplane.storage.models import FleetSequence

MAX_AHEAD_MS = 366 * 24 * 3600 * 1000  # a report further ahead than a year is an edge's mistake


async def advance(
    session: AsyncSession, clock: Clock, organisation_id: str, *, reported: int = 0
) -> int:
    """Return the new sequence: max(last + 1, now in ms, highest an edge reports + 1).

    Announces the change, so that every connected edge is sent a new state.
    """
    row = await session.get(FleetSequence, organisation_id, with_for_update=True)
    now_ms = milliseconds(clock())
    believed = reported if reported < now_ms + MAX_AHEAD_MS else 0
    sequence = max((row.sequence if row else 0) + 1, now_ms, believed + 1)
    if row is None:
        session.add(FleetSequence(organisation_id=organisation_id, sequence=sequence))
    else:
        row.sequence = sequence
    outbox.announce(
        session,
        clock,
        organisation_id=organisation_id,
        topic=outbox.FLEET,
        subject=organisation_id,
    )
    return sequence
