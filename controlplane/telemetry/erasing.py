"""Erase what is stored of executions whose subject asked to be forgotten.

Runs in: the server. Talks to: the database. Never: learns who the subject is, or reaches into
another organisation. Counts stay: they name nobody. A program that learned from an erased sample
stays as it is; its artifact is immutable, and is retired like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.storage.database import Database
from controlplane.storage.loop_models import OracleQuestionRow, ReviewRow, TicketRow, ValidationRow
from controlplane.storage.models import ErasureRow, ExecutionSample, TaskRow

ASKED_AT_ONCE = 400  # SQLite takes 32,766 parameters in a statement, older ones 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One part of what an edge asks for. task: its name."""

    erasure_id: str
    part: int
    task: str
    execution_ids: Sequence[str]


class Erasing:
    """Carries out erasures; asked again, it erases what came meanwhile."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def erase(self, organisation_id: str, deployment_id: str, erasure: Erasure) -> int:
        """Return how many stored things went, with those of an earlier time it was asked."""
        async with self._database.writing() as session:
            erased = 0
            for start in range(0, len(erasure.execution_ids), ASKED_AT_ONCE):
                ids = erasure.execution_ids[start : start + ASKED_AT_ONCE]
                erased += await _erase(session, organisation_id, ids)
            erased += await _erase_from_tickets(session, organisation_id, erasure)
            row = await session.get(ErasureRow, (erasure.erasure_id, erasure.part))
            if row is not None:
                row.erased += erased
                return row.erased
            session.add(self._row(organisation_id, deployment_id, erasure, erased))
        return erased

    def _row(
        self, organisation_id: str, deployment_id: str, erasure: Erasure, erased: int
    ) -> ErasureRow:
        return ErasureRow(
            organisation_id=organisation_id,
            deployment_id=deployment_id,
            erasure_id=erasure.erasure_id,
            part=erasure.part,
            task=erasure.task,
            executions=len(erasure.execution_ids),
            erased=erased,
            erased_at=self._clock(),
        )


async def _erase(session: AsyncSession, organisation_id: str, ids: Sequence[str]) -> int:
    erased = 0
    for table in (ExecutionSample, ValidationRow, ReviewRow, OracleQuestionRow):
        is_meant = (table.organisation_id == organisation_id) & table.execution_id.in_(ids)
        erased += (await session.execute(delete(table).where(is_meant))).rowcount  # type: ignore[attr-defined]
    return erased


async def _erase_from_tickets(session: AsyncSession, organisation_id: str, erasure: Erasure) -> int:
    """Take the executions' examples out of the task's tickets."""
    query = (
        select(TicketRow)
        .join(TaskRow, TaskRow.id == TicketRow.task_id)
        .where(TicketRow.organisation_id == organisation_id, TaskRow.name == erasure.task)
    )
    ids, erased = frozenset(erasure.execution_ids), 0
    for ticket in await session.scalars(query):
        content, gone = _without(ticket.content, ids)
        if gone:
            ticket.content = content
            erased += gone
    return erased


def _without(value: Any, ids: frozenset[str]) -> tuple[Any, int]:
    """Return a ticket's content without the entries of these executions, and how many went."""
    if isinstance(value, list):
        kept = [each for each in value if not _is_of(each, ids)]
        walked = [_without(each, ids) for each in kept]
        return [each for each, _ in walked], len(value) - len(kept) + sum(n for _, n in walked)
    if isinstance(value, dict):
        members = {key: _without(each, ids) for key, each in value.items()}
        return {key: each for key, (each, _) in members.items()}, sum(
            n for _, n in members.values()
        )
    return value, 0


def _is_of(entry: Any, ids: frozenset[str]) -> bool:
    return isinstance(entry, dict) and entry.get("execution_id") in ids
