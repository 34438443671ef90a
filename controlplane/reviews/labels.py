"""Read what is known of executions: a person's label first, else the newest oracle's.

Voided labels count for nothing. An execution counts once, whoever labelled it how often.
Runs in: server and jobs. Talks to: the database. Never: writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.storage.database import Database
from controlplane.storage.loop_models import ReviewRow, ValidationRow
from controlplane.storage.models import EdgeRow, ExecutionSample

AUDIT = "audit"  # the uniform channel, the only one that measures
SUCCESS = "success"
NEWEST = 20_000  # labels looked at; weeks of them, and read in a tenth of a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Uniform labels of one version, in the order in which they came; True is a failure."""

    failures: tuple[bool, ...]
    earlier: int  # labels before these, too old to be looked at
    is_private: bool  # every edge behind them keeps texts to itself

    @property
    def failed(self) -> int:
        return sum(self.failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """An execution whose right answer and input are known."""

    execution_id: str
    input: Any
    output: Any  # the program's; None where it failed
    label: Any  # what was right
    is_human: bool
    version: int
    channel: str
    confidence: float | None
    labelled_at: datetime
    is_failure: bool


class Labels:
    """The labels of all tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def audit(self, organisation_id: str, task: str, version: int) -> Audit:
        """task: its name, as edges know it."""
        is_audit = (
            *_is_of(organisation_id, task),
            ValidationRow.version == version,
            ValidationRow.channel == AUDIT,
        )
        async with self._database.reading() as session:
            rows = (await session.execute(_newest(is_audit))).all()
            total = await session.scalar(
                select(func.count()).select_from(ValidationRow).where(*is_audit)
            )
            reviewed = await _reviews(session, organisation_id, task)
            is_private = await _is_private(session, {row.deployment_id for row in rows})
        found = {
            row.execution_id: not row.is_match or row.outcome != SUCCESS for row in reversed(rows)
        }
        found |= {
            sample.execution_id: _is_wrong(sample, review.label_json)
            for sample, review in reviewed
            if (sample.version, sample.channel) == (version, AUDIT)
        }
        return Audit(
            failures=tuple(found.values()),
            earlier=max(0, (total or 0) - len(rows)),
            is_private=is_private,
        )

    async def labelled(self, organisation_id: str, task: str) -> list[Labelled]:
        """Return what can be learnt from, oldest label first; texts that never came are absent."""
        query = (
            select(ExecutionSample, ValidationRow)
            .join(ValidationRow, ValidationRow.execution_id == ExecutionSample.execution_id)
            .where(*_is_of(organisation_id, task), ExecutionSample.input_json.is_not(None))
            .order_by(ValidationRow.id.desc())
            .limit(NEWEST)
        )
        async with self._database.reading() as session:
            validated = (await session.execute(query)).all()
            reviewed = await _reviews(session, organisation_id, task)
        found: dict[str, Labelled] = {}
        for sample, validation in reversed(validated):
            label = _oracle_label(sample, validation)
            if label is not None:
                found[sample.execution_id] = _labelled(
                    sample, label, validation.validated_at, is_failure=not validation.is_match
                )
        for sample, review in reviewed:
            if sample.input_json is not None:
                found[sample.execution_id] = _labelled(
                    sample,
                    review.label_json,
                    review.created_at,
                    is_failure=_is_wrong(sample, review.label_json),
                    is_human=True,
                )
        return sorted(found.values(), key=lambda each: (each.labelled_at, each.execution_id))

    async def count(self, organisation_id: str, task: str) -> int:
        """Return how many labels ever came, voided ones too: a number that only grows."""
        validations = select(func.count()).select_from(
            select(ValidationRow.id)
            .filter_by(organisation_id=organisation_id, task=task)
            .subquery()
        )
        reviews = (
            select(func.count())
            .select_from(ReviewRow)
            .join(ExecutionSample, ExecutionSample.execution_id == ReviewRow.execution_id)
            .where(ReviewRow.organisation_id == organisation_id, ExecutionSample.task == task)
        )
        async with self._database.reading() as session:
            return (await session.scalar(validations) or 0) + (await session.scalar(reviews) or 0)


def canonical(value: Any) -> bytes:
    """Return one text for one JSON value, so that 1, true and "1" stay apart."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _is_of(organisation_id: str, task: str) -> Sequence[Any]:
    return (
        ValidationRow.organisation_id == organisation_id,
        ValidationRow.task == task,
        ValidationRow.voided_at.is_(None),
    )


def _newest(conditions: Sequence[Any]) -> Select[str, bool, str, str]:
    # Columns, not entities: a look at twenty thousand labels takes a third of the time.
    return (
        select(
            ValidationRow.execution_id,
            ValidationRow.is_match,
            ValidationRow.outcome,
            ValidationRow.deployment_id,
        )
        .where(*conditions)
        .order_by(ValidationRow.id.desc())
        .limit(NEWEST)
    )


async def _reviews(
    session: AsyncSession, organisation_id: str, task: str
) -> Sequence[tuple[ExecutionSample, ReviewRow]]:
    """Return reviewed samples, the newest review last."""
    query = (
        select(ExecutionSample, ReviewRow)
        .join(ReviewRow, ReviewRow.execution_id == ExecutionSample.execution_id)
        .where(ReviewRow.organisation_id == organisation_id, ExecutionSample.task == task)
        .order_by(ReviewRow.id)
    )
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]


async def _is_private(session: AsyncSession, deployment_ids: set[str]) -> bool:
    query = select(EdgeRow.privacy_mode).where(EdgeRow.deployment_id.in_(deployment_ids))
    modes = set(await session.scalars(query.distinct()))
    return modes == {"strict"}


def _is_wrong(sample: ExecutionSample, label_json: str) -> bool:
    if sample.outcome != SUCCESS or sample.output_json is None:
        return True
    return canonical(orjson.loads(sample.output_json)) != canonical(orjson.loads(label_json))


def _oracle_label(sample: ExecutionSample, validation: ValidationRow) -> str | None:
    """Return the oracle's answer; where only its agreement is known, the program's own."""
    if validation.oracle_output_json is not None:
        # Of a failed execution "null" is no label: perhaps nobody was asked.
        was_asked = validation.outcome == SUCCESS or validation.oracle_output_json != "null"
        return validation.oracle_output_json if was_asked else None
    return sample.output_json if validation.is_match else None


def _labelled(
    sample: ExecutionSample,
    label_json: str,
    labelled_at: datetime,
    *,
    is_failure: bool,
    is_human: bool = False,
) -> Labelled:
    output = sample.output_json if sample.outcome == SUCCESS else None
    return Labelled(
        execution_id=sample.execution_id,
        input=orjson.loads(sample.input_json or "null"),
        output=orjson.loads(output) if output else None,
        label=orjson.loads(label_json),
        is_human=is_human,
        version=sample.version,
        channel=sample.channel,
        confidence=sample.confidence,
        labelled_at=labelled_at,
        is_failure=is_failure or output is None,
    )
