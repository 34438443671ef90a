"""`/api/v1/tasks/{task}/telemetry`: what all edges reported of a task.

Runs in: the server. Talks to: telemetry. Never: shows an input or an output.
"""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from controlplane.api.parts import Authenticated, Parts

router = APIRouter(prefix="/tasks/{task}/telemetry", tags=["telemetry"])


class ArmView(BaseModel):
    """One version's arm; latency_ms by quantile: p50, p90, p95, p99.

    confidence_bins: ten equal bins over 0 to 1, [] where programs say none. output_mix: count by
    the output's index in the schema's enum, or by a hash under the edge's own key.
    """

    version: int
    arm: str
    executions: int
    outcomes: dict[str, int]
    caller_timeouts: int
    latency_ms: dict[str, float] | None
    confidence_bins: list[int]
    output_mix: dict[str, int]


class TelemetryView(BaseModel):
    """All arms over all edges."""

    task: str
    executions: int
    edges: int
    outcomes: dict[str, int]
    latency_ms: dict[str, float] | None
    arms: list[ArmView]


@router.get("")
async def read_telemetry(
    task: str,
    parts: Parts,
    caller: Authenticated,
    days: Annotated[int | None, Query(ge=1, le=3_650)] = None,
) -> TelemetryView:
    """Read the sums of the last `days` (UTC, today included), or of all time."""
    found = await parts.tasks.find(caller.organisation_id, task)
    since = datetime.now(UTC).date() - timedelta(days=days - 1) if days else None
    report = await parts.reports.of_task(caller.organisation_id, found.name, since=since)
    return TelemetryView.model_validate({"task": found.name, **asdict(report)})
