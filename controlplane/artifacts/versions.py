"""Publish versions, list them, and say which one is active.

A version is a row and a blob that never change, but for the row's status: draft, validated,
active, deprecated or quarantined. Exactly one version of a task is active at most.
Runs in: jobs (publish), server (all). Talks to: the database and the blobs. Never: runs a program.
"""

from datetime import datetime

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from controlplane.artifacts.draft import Draft
from controlplane.clock import Clock
from controlplane.errors import VersionRefused, VersionUnknown
from controlplane.storage.activation import (
    ACTIVE,
    QUARANTINED,
    VALIDATED,
    activate_version,
    tell_of_version,
)
from controlplane.storage.blobs import Blobs
from controlplane.storage.database import Database
from controlplane.storage.models import ArtifactRow, ExchangeRow, TaskRow
from edged.artifacts.archive import pack
from edged.artifacts.manifest import Digest
from edged.artifacts.signing import ArtifactStatement, SigningKey

log = structlog.get_logger()


class Versions:
    """The versions of all tasks."""

    def __init__(
        self, database: Database, blobs: Blobs, signing_key: SigningKey, clock: Clock
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._signing_key = signing_key
        self._clock = clock

    async def publish(self, draft: Draft, *, activate: bool) -> ArtifactRow:
        """Give the draft the next number, sign and store it.

        A generation that was published already gets its version again, and nothing changes.
        The bytes are stored inside the transaction, so that a number is never without them.
        """
        async with self._database.writing() as session:
            # The lock on the task makes the numbers count up without a hole or a clash.
            await session.get_one(TaskRow, draft.task.id, with_for_update=True)
            existing = await _published(session, draft.generation_id)
            if existing is not None:
                return existing
            row = await self._store(session, draft)
            if activate:
                await activate_version(session, self._clock, row)
            else:
                await tell_of_version(session, self._clock, row)
        log.info(
            "version_published",
            task=draft.task.name,
            version=row.version,
            digest=row.digest,
            strategy=row.synthesis_strategy,
            status=row.status,
        )
        return row

    async def list(self, task_id: str) -> list[ArtifactRow]:
        """Return all of a task, newest first."""
        query = select(ArtifactRow).filter_by(task_id=task_id).order_by(ArtifactRow.version.desc())
        async with self._database.reading() as session:
            return list(await session.scalars(query))

    async def find(self, task_id: str, task: str, version: int) -> ArtifactRow:
        """Raises VersionUnknown. task: its name, for the message."""
        query = select(ArtifactRow).filter_by(task_id=task_id, version=version)
        async with self._database.reading() as session:
            row = await session.scalar(query)
        if row is None:
            raise VersionUnknown(task=task, version=version)
        return row

    async def made_by(self, generation_id: str) -> ArtifactRow | None:
        async with self._database.reading() as session:
            return await _published(session, generation_id)

    async def content(self, row: ArtifactRow) -> bytes:
        """Return the ZIP. Raises BlobMissing, BlobDamaged."""
        return await self._blobs.get(Digest(row.digest))

    async def activate(self, row: ArtifactRow, task: str) -> ArtifactRow:
        """Make it the active one; edges are told. Raises VersionRefused for a quarantined one."""
        async with self._database.writing() as session:
            await session.get_one(TaskRow, row.task_id, with_for_update=True)
            current = await session.get_one(ArtifactRow, row.id)
            if current.status == QUARANTINED:
                raise VersionRefused(task=task, version=row.version, reason="it is quarantined")
            if current.status != ACTIVE:
                await activate_version(session, self._clock, current)
        log.info("version_activated", task=task, version=current.version)
        return current

    async def _store(self, session: AsyncSession, draft: Draft) -> ArtifactRow:
        created_at = self._clock()
        version = await _next_version(session, draft.task.id)
        artifact_id = str(uuid7())
        content = pack(
            draft.artifact(artifact_id=artifact_id, version=version, created_at=created_at)
        )
        digest = await self._blobs.put(content)
        statement = ArtifactStatement(task=draft.task.name, version=version, digest=digest)
        row = _row(draft, artifact_id, version, created_at)
        row.digest = digest
        row.size_bytes = len(content)
        row.signature = self._signing_key.sign_artifact(statement)
        session.add(row)
        await session.flush()
        session.add_all(_exchanges(draft, row))
        return row


async def _published(session: AsyncSession, generation_id: str | None) -> ArtifactRow | None:
    if generation_id is None:
        return None
    return await session.scalar(select(ArtifactRow).filter_by(generation_id=generation_id))


async def _next_version(session: AsyncSession, task_id: str) -> int:
    last = await session.scalar(select(func.max(ArtifactRow.version)).filter_by(task_id=task_id))
    return (last or 0) + 1


def _exchanges(draft: Draft, row: ArtifactRow) -> list[ExchangeRow]:
    return [
        ExchangeRow(
            organisation_id=row.organisation_id,
            artifact_id=row.id,
            number=number,
            content=content,
        )
        for number, content in enumerate(draft.exchanges, start=1)
    ]


def _row(draft: Draft, artifact_id: str, version: int, created_at: datetime) -> ArtifactRow:
    return ArtifactRow(
        id=artifact_id,
        organisation_id=draft.task.organisation_id,
        task_id=draft.task.id,
        version=version,
        generation_id=draft.generation_id,
        status=VALIDATED,
        synthesis_strategy=draft.synthesis_strategy,
        origin=draft.origin,
        task_revision=draft.task.revision,
        confidence_score=draft.confidence_score,
        is_low_evidence=draft.is_low_evidence,
        scores=dict(draft.scores),
        complexity_metrics=dict(draft.complexity_metrics),
        created_at=created_at,
    )
