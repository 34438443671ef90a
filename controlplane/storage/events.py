"""Tell people's clients what happened: an event is a row of the outbox that carries its content.

It is added in the transaction of the change that it tells of, so there is never one without the
other, whichever process made the change. Delivery is at most once: who was away reads the doors.
Runs in: jobs and server, called by whoever changes something. Never: delivers; the hub does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy.ext.asyncio import AsyncSession

from controlplane.clock import Clock
from controlplane.storage.models import OutboxRow

Kind = Literal[
    "OnNewArtifactAvailable",  # version, digest, status: validated or active
    "OnMetricUpdate",  # metrics; made by the hub itself
    "OnAlertTriggered",  # alert: its kind, message and evidence
    "OnRolloutStep",  # rollout_id, version, stage, verdict, action, reason
    "OnTicket",  # ticket_id, status, reason
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that a person may want to see now. content: plain JSON, no program's input."""

    kind: Kind
    organisation_id: str
    task: str  # its name
    at: datetime
    content: Mapping[str, Any]

    def message(self) -> dict[str, Any]:
        """Return what a client is sent; the names of the envelope win over the content's."""
        return {
            **self.content,
            "event": self.kind,
            "task": self.task,
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }


def publish(
    session: AsyncSession,
    clock: Clock,
    *,
    organisation_id: str,
    kind: Kind,
    task: str,
    content: Mapping[str, Any],
) -> None:
    """Add an event that clients get when the session commits. task: its name."""
    row = OutboxRow(
        organisation_id=organisation_id,
        topic=kind,
        subject=task,
        content=dict(content),
        created_at=clock(),
    )
    session.add(row)


def event_of(row: OutboxRow) -> Event | None:
    """Return the event in a row of the outbox; None for a mere wake-up."""
    for kind in KINDS:
        if row.topic == kind:
            return Event(
                kind=kind,
                organisation_id=row.organisation_id,
                task=row.subject,
                at=row.created_at,
                content=row.content or {},
            )
    return None
