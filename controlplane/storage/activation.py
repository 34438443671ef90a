"""Make a version the active one, within whatever transaction decided it.

Runs in: jobs and server; called by the nouns that activate: artifacts and rollouts.
Never: decides whether a version may serve.
"""

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.storage import sequence
from controlplane.storage.events import publish
from controlplane.storage.loop_models import RolloutRow
from controlplane.storage.models import ArtifactRow, TaskRow

VALIDATED, ACTIVE, DEPRECATED, QUARANTINED = "validated", "active", "deprecated", "quarantined"
OPEN_ROLLOUTS = ("running", "paused")


async def activate_version(session: AsyncSession, clock: Clock, row: ArtifactRow) -> None:
    """Deprecate the version before it and tell the edges.

    A rollout that is still open compares with a version that serves no longer: it ends here.
    """
    is_active = (ArtifactRow.task_id == row.task_id) & (ArtifactRow.status == ACTIVE)
    await session.execute(update(ArtifactRow).where(is_active).values(status=DEPRECATED))
    row.status = ACTIVE
    row.activated_at = clock()
    is_open = (RolloutRow.task_id == row.task_id) & RolloutRow.status.in_(OPEN_ROLLOUTS)
    await session.execute(
        update(RolloutRow)
        .where(is_open)
        .values(
            status="aborted", reason=f"v{row.version} was activated directly", finished_at=clock()
        )
    )
    await sequence.advance(session, clock, row.organisation_id)
    await tell_of_version(session, clock, row)


async def tell_of_version(session: AsyncSession, clock: Clock, row: ArtifactRow) -> None:
    """Tell people's clients that a version is there, and whether it serves."""
    task = await session.get_one(TaskRow, row.task_id)
    publish(
        session,
        clock,
        organisation_id=row.organisation_id,
        kind="OnNewArtifactAvailable",
        task=task.name,
        content={"version": row.version, "digest": row.digest, "status": row.status},
    )
