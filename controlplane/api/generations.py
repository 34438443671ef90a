"""Ask for a program and follow how it is made.

Runs in: the server. Talks to: generations, which the jobs process works off. Never: makes one.
"""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from controlplane.api.parts import ApiParts, Authenticated, Parts
from controlplane.artifacts.generations import DONE, FINAL, GenerationRequest
from controlplane.errors import ExamplesMissing
from controlplane.storage.models import GenerationRow
from controlplane.storage.outbox import GENERATION

router = APIRouter(tags=["generations"])

Status = Literal["queued", "training", "evaluating", "done", "failed"]
RECHECK_S = 2.0  # a wake-up that was lost delays a waiting caller by this at most


class GenerateBody(BaseModel):
    """strategies: try only these; empty tries all that fit the examples."""

    model_config = ConfigDict(extra="forbid")

    strategies: list[Literal["rule", "ml", "llm"]] = Field(default_factory=list)
    activate: bool = True


class GenerationView(BaseModel):
    """A request and how far it is; version and what follows once it is done."""

    id: str
    task_id: str
    task: str
    status: Status
    progress: float
    reason: str
    activate: bool
    strategies: list[str]
    status_url: str
    version: int | None = None
    digest: str | None = None
    strategy: str | None = None
    confidence_score: float | None = None
    is_low_evidence: bool | None = None
    scores: dict[str, Any] | None = None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class GenerationList(BaseModel):
    generations: list[GenerationView]


@router.post("/tasks/{task}/generate", status_code=202)
async def generate(
    task: str,
    response: Response,
    parts: Parts,
    caller: Authenticated,
    body: GenerateBody | None = None,
) -> GenerationView:
    """Ask for a new version; follow `status_url`."""
    wish = body or GenerateBody()
    found = await parts.tasks.find(caller.organisation_id, task)
    if not found.examples:
        raise ExamplesMissing(task=found.name)
    row = await parts.generations.request(
        GenerationRequest(
            organisation_id=caller.organisation_id,
            task_id=found.id,
            strategies=wish.strategies,
            activate=wish.activate,
        )
    )
    view = await _view(parts, row, found.name)
    response.headers["Location"] = view.status_url
    return view


@router.get("/generations/{generation}")
async def read_generation(
    generation: str,
    parts: Parts,
    caller: Authenticated,
    wait_s: Annotated[float, Query(ge=0, le=60)] = 0,
) -> GenerationView:
    """Read one; with `wait_s` answer when it has ended, or after that time."""
    row = await _ended(parts, caller.organisation_id, generation, wait_s)
    found = await parts.tasks.find(caller.organisation_id, row.task_id)
    return await _view(parts, row, found.name)


@router.get("/tasks/{task}/generations")
async def list_generations(task: str, parts: Parts, caller: Authenticated) -> GenerationList:
    """List the newest hundred, newest first."""
    found = await parts.tasks.find(caller.organisation_id, task)
    rows = await parts.generations.of_task(found.id)
    return GenerationList(generations=[await _view(parts, row, found.name) for row in rows])


async def _ended(
    parts: ApiParts, organisation_id: str, generation: str, wait_s: float
) -> GenerationRow:
    """Return the row when its status is final, the time is over or the server stops."""
    deadline_s = asyncio.get_running_loop().time() + wait_s
    with parts.wakeups.subscribed(GENERATION, generation) as changed:
        while True:
            changed.clear()
            row = await parts.generations.find(organisation_id, generation)
            left_s = deadline_s - asyncio.get_running_loop().time()
            if row.status in FINAL or left_s <= 0 or parts.wakeups.is_closed:
                return row
            await _wait(changed, min(left_s, RECHECK_S))


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return


async def _view(parts: ApiParts, row: GenerationRow, task: str) -> GenerationView:
    view = GenerationView(
        id=row.id,
        task_id=row.task_id,
        task=task,
        status=cast("Status", row.status),
        progress=round(row.progress, 4),
        reason=row.reason,
        activate=row.activate,
        strategies=row.strategies,
        status_url=f"/api/v1/generations/{row.id}",
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
    version = await parts.versions.made_by(row.id) if row.status == DONE else None
    if version is not None:
        view.version = version.version
        view.digest = version.digest
        view.strategy = version.synthesis_strategy
        view.confidence_score = version.confidence_score
        view.is_low_evidence = version.is_low_evidence
        view.scores = version.scores
    return view
