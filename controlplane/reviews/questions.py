"""Keep what edges ask, take a model's or a person's answer, and see it delivered.

Runs in: server and jobs. Talks to: the database. Never: forgets an answer before its edge has a
receipt for it, or takes a second answer to one question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, update

from controlplane.clock import Clock
from controlplane.errors import QuestionAnswered, QuestionUnknown
from controlplane.reviews.labels import canonical
from controlplane.storage import outbox
from controlplane.storage.database import Database
from controlplane.storage.loop_models import OracleQuestionRow

LISTED = 200
DELIVERED_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """As an edge asks it."""

    execution_id: str
    task: str
    version: int
    input_json: str
    erased: Sequence[str]
    channel: str
    inclusion_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer. by: a person's key or a model's name."""

    output: Any
    by: str


class Questions:
    """Of all edges."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def keep(self, organisation_id: str, deployment_id: str, question: Question) -> None:
        """Store it; one that is stored already stays as it is."""
        async with self._database.writing() as session:
            if await session.scalar(_one(organisation_id, question.execution_id)) is not None:
                return
            session.add(
                OracleQuestionRow(
                    organisation_id=organisation_id,
                    deployment_id=deployment_id,
                    execution_id=question.execution_id,
                    task=question.task,
                    version=question.version,
                    input_json=question.input_json,
                    erased=list(question.erased),
                    channel=question.channel,
                    inclusion_probability=question.inclusion_probability,
                    asked_at=self._clock(),
                    model_attempts=0,
                    answered_by="",
                    cost=0.0,
                )
            )

    async def find(self, organisation_id: str, execution_id: str) -> OracleQuestionRow:
        """Raises QuestionUnknown."""
        async with self._database.reading() as session:
            row = await session.scalar(_one(organisation_id, execution_id))
        if row is None:
            raise QuestionUnknown(execution=execution_id)
        return row

    async def open(self, organisation_id: str, task: str) -> list[OracleQuestionRow]:
        """Return the two hundred that wait longest."""
        query = select(OracleQuestionRow).filter_by(
            organisation_id=organisation_id, task=task, answered_at=None
        )
        async with self._database.reading() as session:
            return list(await session.scalars(query.order_by(OracleQuestionRow.id).limit(LISTED)))

    async def answer(
        self, organisation_id: str, execution_id: str, given: Given
    ) -> OracleQuestionRow:
        """Raises QuestionUnknown or QuestionAnswered."""
        async with self._database.writing() as session:
            row = await session.scalar(_one(organisation_id, execution_id))
            if row is None:
                raise QuestionUnknown(execution=execution_id)
            if row.answered_at is not None:
                raise QuestionAnswered(execution=execution_id, by=row.answered_by)
            row.output_json = canonical(given.output).decode()
            row.answered_by, row.answered_at = given.by[:63], self._clock()
            outbox.announce(
                session,
                self._clock,
                organisation_id=organisation_id,
                topic=outbox.ANSWERS,
                subject=row.deployment_id,
            )
            return row

    async def next_for_model(self, *, max_attempts: int) -> OracleQuestionRow | None:
        """Return the oldest open one that the model was not asked too often, of anybody."""
        query = select(OracleQuestionRow).where(
            OracleQuestionRow.answered_at.is_(None),
            OracleQuestionRow.model_attempts < max_attempts,
        )
        async with self._database.reading() as session:
            return await session.scalar(query.order_by(OracleQuestionRow.id).limit(1))

    async def note_attempt(self, row: OracleQuestionRow, cost: float) -> None:
        """Count an attempt of the model before its answer is taken."""
        change = (
            update(OracleQuestionRow)
            .where(OracleQuestionRow.id == row.id)
            .values(
                model_attempts=OracleQuestionRow.model_attempts + 1,
                cost=OracleQuestionRow.cost + cost,
            )
        )
        async with self._database.writing() as session:
            await session.execute(change)

    async def undelivered(
        self, organisation_id: str, deployment_id: str
    ) -> list[OracleQuestionRow]:
        """Return the oldest answers that the edge has no receipt for."""
        query = (
            select(OracleQuestionRow)
            .filter_by(
                organisation_id=organisation_id, deployment_id=deployment_id, delivered_at=None
            )
            .where(OracleQuestionRow.answered_at.is_not(None))
            .order_by(OracleQuestionRow.answered_at, OracleQuestionRow.id)
            .limit(DELIVERED_AT_ONCE)
        )
        async with self._database.reading() as session:
            return list(await session.scalars(query))

    async def deliver(self, organisation_id: str, deployment_id: str, execution_id: str) -> None:
        """Note the edge's receipt."""
        change = (
            update(OracleQuestionRow)
            .where(
                OracleQuestionRow.organisation_id == organisation_id,
                OracleQuestionRow.deployment_id == deployment_id,
                OracleQuestionRow.execution_id == execution_id,
            )
            .values(delivered_at=self._clock())
        )
        async with self._database.writing() as session:
            await session.execute(change)


def _one(organisation_id: str, execution_id: str) -> Select[OracleQuestionRow]:
    return select(OracleQuestionRow).filter_by(
        organisation_id=organisation_id, execution_id=execution_id
    )
