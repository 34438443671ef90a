"""What the doors work with, and who is calling.

Runs in: the server. Never: decides who may call; the doorkeeper did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from controlplane.access.access import Access
from controlplane.access.keys import Keys
from controlplane.access.scopes import Caller
from controlplane.artifacts.gate import Gate
from controlplane.artifacts.generations import Generations
from controlplane.artifacts.versions import Versions
from controlplane.fleet.connections import Connections
from controlplane.fleet.edges import Edges
from controlplane.hub.hub import Hub
from controlplane.improvement.improvements import Improvements
from controlplane.improvement.sight import Sight
from controlplane.improvement.tickets import Tickets
from controlplane.reviews.questions import Questions
from controlplane.reviews.reviews import Reviews
from controlplane.rollouts.rollouts import Rollouts
from controlplane.storage.database import Database
from controlplane.storage.outbox import Wakeups
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.examples import Examples
from controlplane.telemetry.report import Reports
from controlplane.uploading import Uploading


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopParts:
    """The nouns of the improvement loop. plan: of rollouts that say nothing of their own."""

    improvements: Improvements
    sight: Sight
    tickets: Tickets
    reviews: Reviews
    questions: Questions
    rollouts: Rollouts
    plan: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """The nouns, made by the composition root."""

    access: Access
    keys: Keys
    database: Database
    tasks: Tasks
    examples: Examples
    generations: Generations
    versions: Versions
    uploading: Uploading
    gate: Gate
    edges: Edges
    connections: Connections
    reports: Reports
    wakeups: Wakeups
    hub: Hub
    loop: LoopParts


def parts_of(request: Request) -> ApiParts:
    return cast("ApiParts", request.app.state.parts)


def caller_of(request: Request) -> Caller:
    """Return whom the doorkeeper let in; a route that it does not guard fails here."""
    return cast("Caller", request.state.caller)


Parts = Annotated[ApiParts, Depends(parts_of)]
Authenticated = Annotated[Caller, Depends(caller_of)]
