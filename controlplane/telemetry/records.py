"""Keep single records of a batch: samples, validations, decisions; each once.

A sample is known by its execution, a validation by execution and oracle, a decision by its id: an
edge may repeat any of them in a later batch. Runs in: the server, inside the transaction that
counts the batch. Never: judges what it keeps.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.storage.columns import Base
from controlplane.storage.events import publish
from controlplane.storage.loop_models import RolloutStep, ValidationRow
from controlplane.storage.models import ExecutionSample
from controlplane.telemetry.values import Batch, Decision, Sample, Validation

Record = TypeVar("Record")

ASKED_AT_ONCE = 400  # SQLite takes 32,766 parameters in a statement, older ones 999


async def keep(
    session: AsyncSession, organisation_id: str, deployment_id: str, batch: Batch, now: datetime
) -> None:
    """Store what is not there yet."""
    owner = {"organisation_id": organisation_id, "deployment_id": deployment_id}
    for samples in _portions(batch.samples):
        fresh = [owner | _fields(sample) for sample in await _new_samples(session, samples)]
        await _insert(session, ExecutionSample, fresh)
        await _note_draws(session, organisation_id, samples)
    for validations in _portions(batch.validations):
        new = await _new_validations(session, organisation_id, validations)
        await _insert(session, ValidationRow, [owner | asdict(each) for each in new])
    for decisions in _portions(batch.decisions):
        for decision in await _new_decisions(session, decisions):
            session.add(RolloutStep(**owner, **asdict(decision), received_at=now))
            _tell(session, organisation_id, deployment_id, decision, now)


async def _insert(session: AsyncSession, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    # In bulk: one object a row would hold up the server's doors for half a second a batch.
    if rows:
        await session.execute(insert(table), rows)


def _tell(
    session: AsyncSession,
    organisation_id: str,
    deployment_id: str,
    decision: Decision,
    now: datetime,
) -> None:
    shown = ("rollout_id", "version", "stage", "phase", "verdict", "action", "reason")
    publish(
        session,
        lambda: now,
        organisation_id=organisation_id,
        kind="OnRolloutStep",
        task=decision.task,
        content={"edge": deployment_id} | {name: getattr(decision, name) for name in shown},
    )


def _fields(sample: Sample) -> dict[str, Any]:
    return asdict(sample) | {"erased": list(sample.erased)}


def _portions(records: Sequence[Record]) -> list[Sequence[Record]]:
    return [
        records[start : start + ASKED_AT_ONCE] for start in range(0, len(records), ASKED_AT_ONCE)
    ]


async def _new_samples(session: AsyncSession, samples: Sequence[Sample]) -> list[Sample]:
    fresh = {sample.execution_id: sample for sample in samples}
    query = select(ExecutionSample.execution_id).where(ExecutionSample.execution_id.in_(fresh))
    known = set(await session.scalars(query))
    return [sample for key, sample in fresh.items() if key not in known]


async def _note_draws(
    session: AsyncSession, organisation_id: str, samples: Sequence[Sample]
) -> None:
    """Say of executions that came first in a full log how they were drawn after all."""
    drawn = {sample.execution_id: sample for sample in samples if sample.channel}
    query = select(ExecutionSample).where(
        ExecutionSample.organisation_id == organisation_id,
        ExecutionSample.execution_id.in_(drawn),
        ExecutionSample.channel == "",
    )
    for row in await session.scalars(query):
        row.channel = drawn[row.execution_id].channel
        row.inclusion_probability = drawn[row.execution_id].inclusion_probability


async def _new_validations(
    session: AsyncSession, organisation_id: str, validations: Sequence[Validation]
) -> list[Validation]:
    fresh = {(each.execution_id, each.oracle): each for each in validations}
    columns = (ValidationRow.execution_id, ValidationRow.oracle)
    query = select(*columns).where(
        ValidationRow.organisation_id == organisation_id, tuple_(*columns).in_(list(fresh))
    )
    known = {(row[0], row[1]) for row in (await session.execute(query)).all()}
    return [validation for key, validation in fresh.items() if key not in known]


async def _new_decisions(session: AsyncSession, decisions: Sequence[Decision]) -> list[Decision]:
    fresh = {decision.decision_id: decision for decision in decisions}
    query = select(RolloutStep.decision_id).where(RolloutStep.decision_id.in_(fresh))
    known = set(await session.scalars(query))
    return [decision for key, decision in fresh.items() if key not in known]
