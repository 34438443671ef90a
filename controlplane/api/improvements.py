"""`/api/v1/tasks/{task}/improvements`: how a task's program fares, and the attempts to better it.

Runs in: the server. Talks to: improvement. Never: begins an attempt; the jobs process does.
"""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from controlplane.api.parts import ApiParts, Authenticated, Parts
from controlplane.improvement.alarm import FailureEstimate
from controlplane.storage.activation import ACTIVE
from controlplane.storage.loop_models import ImprovementRow
from controlplane.tasks.specification import Task

router = APIRouter(tags=["improvements"])


class FailureView(BaseModel):
    """How often the active version fails, from audit labels; interval: 95 %."""

    version: int
    labels: int
    failures: int
    rate: float
    interval: tuple[float, float]
    e_value: float
    threshold: float
    allowed_rate: float
    labels_since: int
    rate_since: float
    is_alarm: bool
    words: str


class ImprovementView(BaseModel):
    """One attempt; history: every status it had, when and why."""

    id: str
    task: str
    status: str
    reason: str
    from_version: int
    to_version: int | None
    rollout_id: str | None
    trigger: dict[str, Any]
    patterns: list[dict[str, Any]]
    evaluation: dict[str, Any]
    history: list[dict[str, Any]]
    created_at: datetime
    finished_at: datetime | None


class ImprovementList(BaseModel):
    """failure: of the version that serves now; None while none does."""

    task: str
    failure: FailureView | None
    improvements: list[ImprovementView]


@router.get("/tasks/{task}/improvements")
async def list_improvements(task: str, parts: Parts, caller: Authenticated) -> ImprovementList:
    """Show the failure rate, and the newest hundred attempts, newest first."""
    found = await parts.tasks.find(caller.organisation_id, task)
    rows = await parts.loop.improvements.of_task(found.id)
    return ImprovementList(
        task=found.name,
        failure=await _failure(parts, found),
        improvements=[await _view(parts, row, found.name) for row in rows],
    )


@router.get("/improvements/{improvement}")
async def read_improvement(
    improvement: str, parts: Parts, caller: Authenticated
) -> ImprovementView:
    """Read one attempt."""
    row = await parts.loop.improvements.find(caller.organisation_id, improvement)
    task = await parts.tasks.find(caller.organisation_id, row.task_id)
    return await _view(parts, row, task.name)


async def _failure(parts: ApiParts, task: Task) -> FailureView | None:
    rows = await parts.versions.list(task.id)
    active = next((row.version for row in rows if row.status == ACTIVE), None)
    if active is None:
        return None
    return _failure_view(await parts.loop.sight.estimate(task, active))


def _failure_view(failing: FailureEstimate) -> FailureView:
    return FailureView.model_validate({**failing.as_json(), "words": failing.words})


async def _view(parts: ApiParts, row: ImprovementRow, task: str) -> ImprovementView:
    rollout = await parts.loop.rollouts.of_improvement(row.id)
    return ImprovementView(
        id=row.id,
        task=task,
        status=row.status,
        reason=row.reason,
        from_version=row.from_version,
        to_version=row.to_version,
        rollout_id=rollout.id if rollout else None,
        trigger=row.trigger,
        patterns=row.patterns,
        evaluation=row.evaluation,
        history=row.history,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
