"""`/api/v1/reviews` and `/api/v1/tasks/{task}/oracles/void`: people's word on labels.

Runs in: the server. Talks to: reviews. Never: takes a label that the task's schema does not permit.
"""

from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from controlplane.api.parts import Authenticated, Parts
from controlplane.errors import RequestInvalid
from controlplane.reviews.reviews import Review
from controlplane.storage.loop_models import ReviewRow
from edged.contract.schema import Schema

router = APIRouter(tags=["reviews"])


class ReviewBody(BaseModel):
    """label: the output that would have been right."""

    model_config = ConfigDict(extra="forbid")

    execution_id: str = Field(min_length=1, max_length=36)
    label: Any


class ReviewView(BaseModel):
    execution_id: str
    task: str
    label: Any
    reviewer: str
    created_at: datetime


class ReviewList(BaseModel):
    reviews: list[ReviewView]


class VoidBody(BaseModel):
    """oracle: its name; left out, all of them. since: of the labels, as given at the edge."""

    model_config = ConfigDict(extra="forbid")

    oracle: str | None = Field(default=None, min_length=1, max_length=63)
    since: AwareDatetime


class VoidedView(BaseModel):
    task: str
    voided: int


@router.post("/reviews", status_code=201)
async def add_review(body: ReviewBody, parts: Parts, caller: Authenticated) -> ReviewView:
    """Label an execution; this supersedes every oracle's label of it."""
    name = await parts.loop.reviews.task_of(caller.organisation_id, body.execution_id)
    task = await parts.tasks.find(caller.organisation_id, name)
    breach = Schema(task.output_schema).breach(body.label, root="label")
    if breach is not None:
        raise RequestInvalid(field=breach.field, reason=breach.reason)
    review = Review(
        execution_id=body.execution_id,
        task_id=task.id,
        task=task.name,
        label=body.label,
        reviewer=caller.key_name,
    )
    return _view(await parts.loop.reviews.add(caller.organisation_id, review), task.name)


@router.get("/reviews")
async def list_reviews(task: str, parts: Parts, caller: Authenticated) -> ReviewList:
    """List a task's newest two hundred, newest first."""
    found = await parts.tasks.find(caller.organisation_id, task)
    rows = await parts.loop.reviews.list(caller.organisation_id, found.id)
    return ReviewList(reviews=[_view(row, found.name) for row in rows])


@router.post("/tasks/{task}/oracles/void")
async def void_oracle(task: str, body: VoidBody, parts: Parts, caller: Authenticated) -> VoidedView:
    """Let an oracle's labels since a time count no more; the failure rate is told without them."""
    found = await parts.tasks.find(caller.organisation_id, task)
    voided = await parts.loop.reviews.void(
        caller.organisation_id, found.name, oracle=body.oracle, since=body.since
    )
    return VoidedView(task=found.name, voided=voided)


def _view(row: ReviewRow, task: str) -> ReviewView:
    return ReviewView(
        execution_id=row.execution_id,
        task=task,
        label=orjson.loads(row.label_json),
        reviewer=row.reviewer,
        created_at=row.created_at,
    )
