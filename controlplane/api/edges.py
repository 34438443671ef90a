"""`/api/v1/edges`: the fleet and how each edge fares.

Runs in: the server. Talks to: fleet, telemetry. Never: changes anything.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from controlplane.api.parts import Authenticated, Parts
from controlplane.storage.models import EdgeRow, EdgeTask

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
        tasks=[
            EdgeTaskView(
                task=condition.task,
                state=condition.state,
                target_version=condition.target_version,
                serving_version=condition.serving_version,
                stage=condition.stage,
                reason=condition.reason,
                updated_at=condition.updated_at,
            )
            for condition in conditions
        ],
        executions=dict(executions),
        executions_total=sum(executions.values()),
    )
