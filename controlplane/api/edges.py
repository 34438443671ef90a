"""`/api/v1/edges`: the fleet, how each edge fares, what people want of it.

Runs in: the server. Talks to: fleet, telemetry. Never: says what an edge takes; it says so itself.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from controlplane.api.parts import Authenticated, Parts
from controlplane.errors import RequestInvalid
from controlplane.fleet.edges import Wishes
from controlplane.storage.models import EdgeRow, EdgeTask

MAX_SETTINGS_BYTES = 16 * 1024
router = APIRouter(prefix="/edges", tags=["edges"])


class EdgeTaskView(BaseModel):
    """How the edge fares with one task."""

    task: str
    state: str
    target_version: int
    serving_version: int
    stage: int
    reason: str
    updated_at: datetime


class EdgeView(BaseModel):
    """executions: counted so far by task; they arrive with telemetry, so they lag.

    dropped: what the edge could not count or send, by reason.
    """

    deployment_id: str
    name: str
    edge_version: str
    connected: bool
    enrolled_at: datetime
    last_seen: datetime | None
    privacy_mode: str
    applied_sequence: int
    refused: str
    batches_pending: int
    dropped: dict[str, int]
    problems: list[str]
    tasks: list[EdgeTaskView]
    executions: dict[str, int]
    executions_total: int
    settings: dict[str, Any]
    settings_refused: dict[str, str]
    privacy_floor: str


class SettingsBody(BaseModel):
    """settings: by section and key, as in deployment.yaml; they replace those before.

    privacy_floor: left out, the one before stays; it is only ever tightened.
    """

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    privacy_floor: Literal["", "permissive", "balanced", "strict"] = ""


class SettingsView(BaseModel):
    """What is wanted; `settings_refused` of the edge says what it kept out, and why."""

    deployment_id: str
    settings: dict[str, Any]
    privacy_floor: str


class EdgeList(BaseModel):
    edges: list[EdgeView]


@router.get("")
async def list_edges(parts: Parts, caller: Authenticated) -> EdgeList:
    """List all edges by enrolment."""
    organisation_id = caller.organisation_id
    rows = await parts.edges.list(organisation_id)
    conditions = await parts.edges.conditions(organisation_id)
    counted = await parts.reports.executions_by_edge(organisation_id)
    views = [
        _view(
            row,
            conditions.get(row.deployment_id, ()),
            counted.get(row.deployment_id, {}),
            is_connected=parts.connections.is_connected(row.deployment_id),
        )
        for row in rows
    ]
    return EdgeList(edges=views)


@router.put("/{deployment_id}/settings")
async def put_settings(
    deployment_id: str, body: SettingsBody, parts: Parts, caller: Authenticated
) -> SettingsView:
    """Want settings of an edge; it takes what it permits, and says what it kept out."""
    if len(orjson.dumps(body.settings)) > MAX_SETTINGS_BYTES:
        reason = f"is larger than {MAX_SETTINGS_BYTES} bytes"
        raise RequestInvalid(field="settings", reason=reason)
    wishes = Wishes(settings=body.settings, privacy_floor=body.privacy_floor)
    row = await parts.edges.wish(caller.organisation_id, deployment_id, wishes)
    return SettingsView(
        deployment_id=deployment_id, settings=row.settings, privacy_floor=row.privacy_floor
    )


def _view(
    row: EdgeRow,
    conditions: Sequence[EdgeTask],
    executions: Mapping[str, int],
    *,
    is_connected: bool,
) -> EdgeView:
    return EdgeView(
        deployment_id=row.deployment_id,
        name=row.name,
        edge_version=row.edge_version,
        connected=is_connected,
        enrolled_at=row.enrolled_at,
        last_seen=row.last_seen_at,
        privacy_mode=row.privacy_mode,
        applied_sequence=row.applied_sequence,
        refused=row.refused,
        batches_pending=row.batches_pending,
        dropped=row.dropped,
        problems=row.problems,
        tasks=[_task_view(condition) for condition in conditions],
        executions=dict(executions),
        executions_total=sum(executions.values()),
        settings=row.settings,
        settings_refused=row.settings_refused,
        privacy_floor=row.privacy_floor,
    )


def _task_view(condition: EdgeTask) -> EdgeTaskView:
    return EdgeTaskView(
        task=condition.task,
        state=condition.state,
        target_version=condition.target_version,
        serving_version=condition.serving_version,
        stage=condition.stage,
        reason=condition.reason,
        updated_at=condition.updated_at,
    )
