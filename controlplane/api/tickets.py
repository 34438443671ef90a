"""`/api/v1/tickets`: what the loop asks people, and their answers.

Runs in: the server. Talks to: improvement. Never: opens a ticket.
"""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from controlplane.api.parts import ApiParts, Authenticated, Parts
from controlplane.storage.loop_models import TicketRow

router = APIRouter(prefix="/tickets", tags=["tickets"])


class AnswerBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: str = Field(default="", max_length=20_000)


class TicketView(BaseModel):
    """content: failure_rate, slices, examples, suspected_label_errors, last_evaluation."""

    id: str
    task: str
    improvement_id: str
    status: str
    reason: str
    content: dict[str, Any]
    note: str
    created_at: datetime
    resolved_at: datetime | None


class TicketList(BaseModel):
    tickets: list[TicketView]


@router.get("")
async def list_tickets(
    parts: Parts,
    caller: Authenticated,
    status: Literal["open", "resolved"] | None = None,
    task: str | None = None,
) -> TicketList:
    """List the newest hundred, newest first."""
    found = await parts.tasks.find(caller.organisation_id, task) if task else None
    rows = await parts.loop.tickets.list(
        caller.organisation_id, status=status, task_id=found.id if found else None
    )
    return TicketList(tickets=[await _view(parts, row) for row in rows])


@router.get("/{ticket}")
async def read_ticket(ticket: str, parts: Parts, caller: Authenticated) -> TicketView:
    """Read one with its slices, examples and doubtful labels."""
    return await _view(parts, await parts.loop.tickets.find(caller.organisation_id, ticket))


@router.post("/{ticket}/resolve")
async def resolve_ticket(
    ticket: str, parts: Parts, caller: Authenticated, body: AnswerBody | None = None
) -> TicketView:
    """Answer; the loop goes on with what is known then."""
    note = body.note if body else ""
    return await _view(
        parts, await parts.loop.tickets.resolve(caller.organisation_id, ticket, note)
    )


async def _view(parts: ApiParts, row: TicketRow) -> TicketView:
    task = await parts.tasks.find(row.organisation_id, row.task_id)
    return TicketView(
        id=row.id,
        task=task.name,
        improvement_id=row.improvement_id,
        status=row.status,
        reason=row.reason,
        content=row.content,
        note=row.note,
        created_at=row.created_at,
        resolved_at=row.resolved_at,
    )
