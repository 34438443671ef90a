"""Assemble the REST doors; OpenAPI at `/docs`.

Runs in: the server. Never: serves a route of `/api/v1` without a key.
"""

from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer

from controlplane.api import (
    artifacts,
    edges,
    events,
    examples,
    failures,
    generations,
    health,
    improvements,
    keys,
    questions,
    reviews,
    rollouts,
    tasks,
    telemetry,
    tickets,
)
from controlplane.api.doorkeeper import Doorkeeper
from controlplane.api.parts import ApiParts

# For `/docs` only, which then offers a field for the key; the doorkeeper has checked it before.
SHOWN_SCHEME = HTTPBearer(auto_error=False, description="An API key of this control plane")
NOUNS = (
    tasks,
    examples,
    generations,
    artifacts,
    edges,
    telemetry,
    improvements,
    tickets,
    questions,
    reviews,
    rollouts,
    keys,
)


def build(parts: ApiParts) -> FastAPI:
    """Return the ASGI application."""
    app = FastAPI(title="Loopai control plane", version=version("loopai"), redoc_url=None)
    app.state.parts = parts
    failures.install(app)
    app.add_middleware(Doorkeeper, access=parts.access)
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(SHOWN_SCHEME)])
    for noun in NOUNS:
        api.include_router(noun.router)
    app.include_router(api)
    # Not among those above: the scheme shown in /docs reads requests, and a websocket is none.
    app.include_router(events.router, prefix="/api/v1")
    app.include_router(health.router)
    return app
