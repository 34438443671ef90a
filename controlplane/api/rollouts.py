"""`/api/v1/rollouts`: start one by hand, follow it, and have a word with the edges.

Runs in: the server. Talks to: rollouts. Never: decides a step; the edges do.
"""

from datetime import datetime
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from controlplane.api.parts import ApiParts, Authenticated, Parts
from controlplane.rollouts.rollouts import RolloutRequest
from controlplane.storage.loop_models import RolloutRow, RolloutStep

router = APIRouter(prefix="/rollouts", tags=["rollouts"])


class StageBody(BaseModel):
    """weight: the candidate's share of traffic."""

    model_config = ConfigDict(extra="forbid")

    weight: float = Field(gt=0, le=1)
    min_executions: int = Field(ge=1, le=2**31)
    min_duration_s: int = Field(ge=0, le=2**31)


class PlanBody(BaseModel):
    """What is left out is as this control plane's settings say."""

    model_config = ConfigDict(extra="forbid")

    stages: list[StageBody] | None = Field(default=None, min_length=1, max_length=20)
    is_automatic: bool | None = None
    shadow_rate: float | None = Field(default=None, ge=0, le=1)
    min_shadow_executions: int | None = Field(default=None, ge=0, le=2**31)
    max_duration_s: int | None = Field(default=None, ge=0, le=2**31)

    @model_validator(mode="after")
    def weights_grow(self) -> "PlanBody":
        weights = [stage.weight for stage in self.stages or ()]
        if weights != sorted(set(weights)):
            raise ValueError("the stages' weights must grow")
        return self


class RolloutBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: str
    version: int = Field(ge=1, le=2**31 - 1)
    plan: PlanBody = Field(default_factory=PlanBody)


class OrderBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=2_000)


class StepView(BaseModel):
    """A decision of an edge, with its evidence as it came."""

    decision_id: str
    edge: str
    stage: int
    phase: str
    verdict: str
    action: str
    reason: str
    evidence: Any
    decided_at: datetime


class RolloutView(BaseModel):
    """steps: only where one rollout is shown."""

    id: str
    task: str
    from_version: int
    to_version: int
    status: str
    reason: str
    plan: dict[str, Any]
    improvement_id: str | None
    created_at: datetime
    finished_at: datetime | None
    steps: list[StepView] | None = None


class RolloutList(BaseModel):
    rollouts: list[RolloutView]


@router.get("")
async def list_rollouts(
    parts: Parts, caller: Authenticated, task: str | None = None
) -> RolloutList:
    """List the newest hundred, newest first."""
    found = await parts.tasks.find(caller.organisation_id, task) if task else None
    rows = await parts.loop.rollouts.list(caller.organisation_id, found.id if found else None)
    return RolloutList(rollouts=[await _view(parts, row) for row in rows])


@router.post("", status_code=201)
async def start_rollout(body: RolloutBody, parts: Parts, caller: Authenticated) -> RolloutView:
    """Bring a version to all traffic step by step."""
    task = await parts.tasks.find(caller.organisation_id, body.task)
    wishes = body.plan.model_dump(exclude_none=True)
    request = RolloutRequest(
        organisation_id=caller.organisation_id,
        task_id=task.id,
        version=body.version,
        plan={**parts.loop.plan, **wishes},
    )
    return await _view(parts, await parts.loop.rollouts.start(request))


@router.get("/{rollout}")
async def read_rollout(rollout: str, parts: Parts, caller: Authenticated) -> RolloutView:
    """Read one with the decisions of its edges."""
    view = await _view(parts, await parts.loop.rollouts.find(caller.organisation_id, rollout))
    view.steps = [_step(step) for step in await parts.loop.rollouts.steps(view.id)]
    return view


@router.post("/{rollout}/{order}")
async def order_rollout(
    rollout: str,
    order: Literal["pause", "resume", "abort", "force"],
    parts: Parts,
    caller: Authenticated,
    body: OrderBody | None = None,
) -> RolloutView:
    """Send a signed command down; force goes one step on without the evidence."""
    reason = body.reason if body else ""
    row = await parts.loop.rollouts.order(caller.organisation_id, rollout, order, reason)
    return await _view(parts, row)


async def _view(parts: ApiParts, row: RolloutRow) -> RolloutView:
    task = await parts.tasks.find(row.organisation_id, row.task_id)
    return RolloutView(
        id=row.id,
        task=task.name,
        from_version=row.from_version,
        to_version=row.to_version,
        status=row.status,
        reason=row.reason,
        plan=row.plan,
        improvement_id=row.improvement_id,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _step(step: RolloutStep) -> StepView:
    return StepView(
        decision_id=step.decision_id,
        edge=step.deployment_id,
        stage=step.stage,
        phase=step.phase,
        verdict=step.verdict,
        action=step.action,
        reason=step.reason,
        evidence=_document(step.evidence_json),
        decided_at=step.decided_at,
    )


def _document(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return text  # shown as it came
