"""Count what edges report: every batch once, in one transaction, before it is acknowledged.

A batch is known by (deployment, log_id, number). A repeated one is acknowledged again and changes
nothing. Runs in: the server. Talks to: the database. Never: lets one bad field hold up a batch;
what cannot be counted is left out and logged.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.storage import outbox
from controlplane.storage.database import Database
from controlplane.storage.models import EdgeRow, TelemetryCount, TelemetryReceipt
from controlplane.telemetry import records, sketches
from controlplane.telemetry.values import ArmCount, Batch

log = structlog.get_logger()

MAX_OUTPUTS = 1_000  # distinct outputs kept a row and day; further ones count as "other"
OTHER = "other"
KEPT_RECEIPTS = 1_000  # a log's newest; a batch a minute would be half a million rows a year
FORGET_EVERY = 100


class Ingest:
    """The way of a batch into the counts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def count(self, organisation_id: str, deployment_id: str, batch: Batch) -> bool:
        """Return whether the batch was new; either way it is counted now."""
        async with self._database.writing() as session:
            if await _is_counted(session, deployment_id, batch):
                return False
            session.add(self._receipt(organisation_id, deployment_id, batch))
            await session.flush()
            for arm in batch.arms:
                await _count(session, organisation_id, deployment_id, arm, batch.sealed_at)
            if batch.dropped:
                await _note_dropped(session, deployment_id, batch.dropped)
            await records.keep(session, organisation_id, deployment_id, batch, self._clock())
            await _forget(session, deployment_id, batch)
            self._announce(session, organisation_id, batch)
            return True

    def _announce(self, session: AsyncSession, organisation_id: str, batch: Batch) -> None:
        for task in sorted(batch.tasks):
            outbox.announce(
                session,
                self._clock,
                organisation_id=organisation_id,
                topic=outbox.TELEMETRY,
                subject=task,
            )

    def _receipt(self, organisation_id: str, deployment_id: str, batch: Batch) -> TelemetryReceipt:
        return TelemetryReceipt(
            organisation_id=organisation_id,
            deployment_id=deployment_id,
            log_id=batch.log_id,
            number=batch.number,
            received_at=self._clock(),
            dropped=dict(batch.dropped),
        )


async def _note_dropped(
    session: AsyncSession, deployment_id: str, dropped: Mapping[str, int]
) -> None:
    """Add to what the edge said that it had to drop."""
    edge = await session.get(EdgeRow, deployment_id, with_for_update=True)
    if edge is not None:
        edge.dropped = _bounded(_summed(edge.dropped, dropped))


async def _is_counted(session: AsyncSession, deployment_id: str, batch: Batch) -> bool:
    """Look for the receipt; one that is far behind the newest was counted and then forgotten."""
    query = select(func.max(TelemetryReceipt.number)).filter_by(
        deployment_id=deployment_id, log_id=batch.log_id
    )
    newest = await session.scalar(query)
    if newest is None or batch.number > newest:
        return False
    if batch.number <= newest - KEPT_RECEIPTS:
        return True
    key = (deployment_id, batch.log_id, batch.number)
    return await session.get(TelemetryReceipt, key) is not None


async def _forget(session: AsyncSession, deployment_id: str, batch: Batch) -> None:
    """Drop receipts that no edge can ask about: it sends in order, some eight ahead."""
    if batch.number % FORGET_EVERY:
        return
    is_old = (
        (TelemetryReceipt.deployment_id == deployment_id)
        & (TelemetryReceipt.log_id == batch.log_id)
        & (TelemetryReceipt.number <= batch.number - KEPT_RECEIPTS)
    )
    await session.execute(delete(TelemetryReceipt).where(is_old))


async def _count(
    session: AsyncSession,
    organisation_id: str,
    deployment_id: str,
    arm: ArmCount,
    sealed_at: datetime,
) -> None:
    """Add to the row of the arm's day."""
    day = sealed_at.astimezone(UTC).date()
    key = (deployment_id, arm.task, arm.version, arm.arm, day)
    row = await session.get(TelemetryCount, key)
    if row is None:
        row = TelemetryCount(
            organisation_id=organisation_id,
            deployment_id=deployment_id,
            task=arm.task,
            version=arm.version,
            arm=arm.arm,
            day=day,
            executions=0,
            outcomes={},
            caller_timeouts=0,
            latency_sketch=b"",
            confidence_bins=[],
            output_mix={},
        )
        session.add(row)
    _add(row, arm)


def _add(row: TelemetryCount, arm: ArmCount) -> None:
    row.executions += arm.executions
    row.caller_timeouts += arm.caller_timeouts
    row.outcomes = _summed(row.outcomes, arm.outcomes)
    row.output_mix = _bounded(_summed(row.output_mix, arm.output_mix))
    row.confidence_bins = _bins(row.confidence_bins, arm.confidence_bins)
    try:
        row.latency_sketch = sketches.merged(row.latency_sketch, arm.latency_sketch)
    except sketches.SketchInvalid as error:
        # Left out, not refused: the edge would send the same batch for ever.
        log.warning("latency_sketch_refused", edge=row.deployment_id, reason=str(error))


def _summed(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(first) + Counter(second))


def _bounded(mix: dict[str, int]) -> dict[str, int]:
    """Keep the frequent ones, so that a row cannot grow with the number of distinct outputs."""
    if len(mix) <= MAX_OUTPUTS:
        return mix
    ranked = sorted(mix, key=lambda name: (name == OTHER, -mix[name]))
    kept = {name: mix[name] for name in ranked[: MAX_OUTPUTS - 1] if name != OTHER}
    return kept | {OTHER: sum(mix.values()) - sum(kept.values())}


def _bins(first: Sequence[int], second: Sequence[int]) -> list[int]:
    if not first or not second:
        return list(first or second)
    return [left + right for left, right in zip(first, second, strict=True)]
