"""Store a task's examples once each, and keep its inferred schemas in step with them.

Runs in: server (all), jobs (read). Talks to: the database. Never: stores a part of an upload.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.storage.database import Database
from controlplane.storage.models import ExampleRow, TaskRow
from controlplane.tasks import inference
from controlplane.tasks.specification import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of an upload; duplicates were there already, or twice in it."""

    stored: int
    duplicates: int
    total: int


class Examples:
    """The examples of tasks, in the order in which they came."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, task_id: str, examples: Sequence[Example]) -> Added:
        async with self._database.writing() as session:
            row = await session.get_one(TaskRow, task_id, with_for_update=True)
            return await insert_examples(session, row, examples, self._clock())

    async def page(self, task_id: str, *, limit: int, offset: int) -> list[Example]:
        query = _of(task_id).order_by(ExampleRow.id).limit(limit).offset(offset)
        return await self._read(query)

    async def all(self, task_id: str) -> list[Example]:
        return await self._read(_of(task_id).order_by(ExampleRow.id))

    async def _read(self, query: Select[str, str]) -> list[Example]:
        async with self._database.reading() as session:
            rows = (await session.execute(query)).all()
        return [Example(input_json=row[0], output_json=row[1]) for row in rows]


async def insert_examples(
    session: AsyncSession, task: TaskRow, examples: Sequence[Example], now: datetime
) -> Added:
    """Store what is new, within the caller's transaction, which must have locked the task."""
    known = set(await session.scalars(select(ExampleRow.digest).filter_by(task_id=task.id)))
    fresh = {_digest(example): example for example in examples}
    new = [
        {
            "organisation_id": task.organisation_id,
            "task_id": task.id,
            "digest": digest,
            "input_json": example.input_json,
            "output_json": example.output_json,
            "created_at": now,
        }
        for digest, example in fresh.items()
        if digest not in known
    ]
    if new:
        await session.execute(insert(ExampleRow), new)
        await _infer(session, task)
    return Added(stored=len(new), duplicates=len(examples) - len(new), total=len(known) + len(new))


async def _infer(session: AsyncSession, task: TaskRow) -> None:
    """Look at all of the examples again: a label seen first today must be permitted today."""
    rows = (await session.execute(_of(task.id))).all()
    # Twenty thousand rows take a fifth of a second, for which nobody else should wait.
    inputs, outputs = await asyncio.to_thread(_schemas, [(row[0], row[1]) for row in rows])
    task.inferred_input_schema, task.inferred_output_schema = inputs, outputs


def _schemas(rows: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        inference.input_schema([orjson.loads(input_json) for input_json, _ in rows]),
        inference.output_schema([orjson.loads(output_json) for _, output_json in rows]),
    )


def _digest(example: Example) -> str:
    both = example.input_json.encode() + b"\n" + example.output_json.encode()
    return hashlib.sha256(both).hexdigest()


def _of(task_id: str) -> Select[str, str]:
    return select(ExampleRow.input_json, ExampleRow.output_json).filter_by(task_id=task_id)
