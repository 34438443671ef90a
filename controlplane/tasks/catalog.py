"""Create, find and revise tasks.

Runs in: server (all), jobs (read). Talks to: the database. Never: changes a revision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from controlplane.clock import Clock
from controlplane.errors import RequestInvalid, TaskExists, TaskUnknown
from controlplane.storage import sequence
from controlplane.storage.database import Database
from controlplane.storage.models import ExampleRow, TaskRevision, TaskRow
from controlplane.tasks.examples import insert_examples
from controlplane.tasks.specification import Example, Specification, Task
from edged.contract.schema import Schema, SchemaInvalid


class Tasks:
    """The organisation's tasks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self,
        organisation_id: str,
        name: str,
        specification: Specification,
        examples: Sequence[Example],
    ) -> Task:
        """Raises TaskExists, or RequestInvalid for a name or schema that cannot be used."""
        _check_name(name)
        check_schemas(specification)
        row = TaskRow(
            id=str(uuid7()),
            organisation_id=organisation_id,
            name=name,
            revision=1,
            created_at=self._clock(),
        )
        try:
            async with self._database.writing() as session:
                session.add(row)
                await session.flush()
                session.add(self._revision(row, specification))
                await insert_examples(session, row, examples, self._clock())
        except IntegrityError as error:
            raise TaskExists(task=name) from error
        return await self.find(organisation_id, row.id)

    async def find(self, organisation_id: str, reference: str) -> Task:
        """Return the task of this name or UUID. Raises TaskUnknown."""
        async with self._database.reading() as session:
            return _task(await _row(session, organisation_id, reference))

    async def list(self, organisation_id: str) -> list[Task]:
        """Return all, by name."""
        query = _query(organisation_id).order_by(TaskRow.name)
        async with self._database.reading() as session:
            return [_task(row) for row in (await session.execute(query)).all()]

    async def revise(
        self, organisation_id: str, reference: str, changes: Mapping[str, Any]
    ) -> Task:
        """Add a revision with these fields of the specification changed.

        Edges learn the new revision by their next state. Raises TaskUnknown, RequestInvalid.
        """
        async with self._database.writing() as session:
            row, current, _ = await _row(session, organisation_id, reference)
            specification = replace(_specification(current), **changes)
            check_schemas(specification)
            row.revision += 1
            session.add(self._revision(row, specification))
            await sequence.advance(session, self._clock, organisation_id)
        return await self.find(organisation_id, row.id)

    def _revision(self, row: TaskRow, specification: Specification) -> TaskRevision:
        return TaskRevision(
            task_id=row.id,
            organisation_id=row.organisation_id,
            revision=row.revision,
            description=specification.description,
            input_schema=specification.input_schema,
            output_schema=specification.output_schema,
            accuracy_target=specification.accuracy_target,
            latency_target_ms=specification.latency_target_ms,
            sampling_rate=specification.sampling_rate,
            created_at=self._clock(),
        )


def check_schemas(specification: Specification) -> None:
    """Raise RequestInvalid naming the schema that cannot be used."""
    for field in ("input_schema", "output_schema"):
        document = getattr(specification, field)
        try:
            Schema(document if document is not None else {})
        except SchemaInvalid as error:
            raise RequestInvalid(field=field, reason=f"not a JSON Schema: {error}") from error


def _check_name(name: str) -> None:
    """A task is addressed by name or by UUID, so a name may not look like a UUID."""
    try:
        UUID(name)
    except ValueError:
        return
    raise RequestInvalid(field="name", reason="must not be a UUID")


def _query(organisation_id: str) -> Select[TaskRow, TaskRevision, int]:
    count = (
        select(func.count())
        .where(ExampleRow.task_id == TaskRow.id)
        .correlate(TaskRow)
        .scalar_subquery()
    )
    is_current = (TaskRevision.task_id == TaskRow.id) & (TaskRevision.revision == TaskRow.revision)
    return (
        select(TaskRow, TaskRevision, count)
        .join(TaskRevision, is_current)
        .where(TaskRow.organisation_id == organisation_id)
    )


async def _row(
    session: AsyncSession, organisation_id: str, reference: str
) -> Row[TaskRow, TaskRevision, int]:
    is_meant = or_(TaskRow.name == reference, TaskRow.id == reference)
    row = (await session.execute(_query(organisation_id).where(is_meant))).one_or_none()
    if row is None:
        raise TaskUnknown(task=reference)
    return row


def _specification(row: TaskRevision) -> Specification:
    return Specification(
        description=row.description,
        input_schema=row.input_schema,
        output_schema=row.output_schema,
        accuracy_target=row.accuracy_target,
        latency_target_ms=row.latency_target_ms,
        sampling_rate=row.sampling_rate,
    )


def _task(found: Row[TaskRow, TaskRevision, int]) -> Task:
    row, revision, examples = found
    return Task(
        id=row.id,
        organisation_id=row.organisation_id,
        name=row.name,
        revision=row.revision,
        specification=_specification(revision),
        inferred_input_schema=row.inferred_input_schema,
        inferred_output_schema=row.inferred_output_schema,
        examples=examples,
        created_at=row.created_at,
        updated_at=revision.created_at,
    )
