"""`/healthz` and `/readyz`: for whatever restarts or routes; open to everybody.

Runs in: the server. Never: says more than up or not.
"""

from fastapi import APIRouter, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from controlplane.api.parts import Parts

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process lives."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(response: Response, parts: Parts) -> dict[str, str]:
    """It can serve: the database answers and it is not stopping."""
    if parts.wakeups.is_closed:
        response.status_code = 503
        return {"status": "stopping"}
    try:
        async with parts.database.reading() as session:
            await session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        response.status_code = 503
        return {"status": "database unavailable"}
    return {"status": "ready"}
