"""`/api/v1/questions`: what edges ask, and a person's answer.

Runs in: the server. Talks to: reviews, tasks. Never: takes an answer that the task's schema does
not permit.
"""

from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from controlplane.api.parts import Authenticated, Parts
from controlplane.errors import RequestInvalid
from controlplane.reviews.questions import Given
from controlplane.storage.loop_models import OracleQuestionRow
from edged.contract.schema import Schema

router = APIRouter(prefix="/questions", tags=["questions"])


class AnswerBody(BaseModel):
    """output: what would have been right."""

    model_config = ConfigDict(extra="forbid")

    output: Any


class QuestionView(BaseModel):
    execution_id: str
    task: str
    version: int
    input: Any
    erased: list[str]
    asked_at: datetime
    output: Any
    answered_by: str
    answered_at: datetime | None
    delivered_at: datetime | None


class QuestionList(BaseModel):
    questions: list[QuestionView]


@router.get("")
async def list_questions(task: str, parts: Parts, caller: Authenticated) -> QuestionList:
    """List a task's open questions, the two hundred that wait longest."""
    found = await parts.tasks.find(caller.organisation_id, task)
    rows = await parts.loop.questions.open(caller.organisation_id, found.name)
    return QuestionList(questions=[_view(row) for row in rows])


@router.get("/{execution_id}")
async def read_question(execution_id: str, parts: Parts, caller: Authenticated) -> QuestionView:
    return _view(await parts.loop.questions.find(caller.organisation_id, execution_id))


@router.post("/{execution_id}/answer")
async def answer_question(
    execution_id: str, body: AnswerBody, parts: Parts, caller: Authenticated
) -> QuestionView:
    """Answer it; its edge hears of it at once, or when it is connected next."""
    asked = await parts.loop.questions.find(caller.organisation_id, execution_id)
    task = await parts.tasks.find(caller.organisation_id, asked.task)
    breach = Schema(task.output_schema).breach(body.output, root="output")
    if breach is not None:
        raise RequestInvalid(field=breach.field, reason=breach.reason)
    given = Given(output=body.output, by=caller.key_name)
    return _view(await parts.loop.questions.answer(caller.organisation_id, execution_id, given))


def _view(row: OracleQuestionRow) -> QuestionView:
    return QuestionView(
        execution_id=row.execution_id,
        task=row.task,
        version=row.version,
        input=orjson.loads(row.input_json),
        erased=row.erased,
        asked_at=row.asked_at,
        output=None if row.output_json is None else orjson.loads(row.output_json),
        answered_by=row.answered_by,
        answered_at=row.answered_at,
        delivered_at=row.delivered_at,
    )
