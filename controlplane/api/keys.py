"""`/api/v1/keys`: make, list and revoke API keys; for the scope admin only.

Runs in: the server. Talks to: access. Never: shows a key a second time.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from controlplane.access.scopes import Scope
from controlplane.api.parts import Authenticated, Parts
from controlplane.storage.models import ApiKey

router = APIRouter(prefix="/keys", tags=["keys"])

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class NewKeyBody(BaseModel):
    """scope: `edge` may enrol and connect, `read` may look, `admin` may everything."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    scope: Scope


class KeyView(BaseModel):
    id: str
    name: str
    scope: str
    created_at: datetime
    revoked_at: datetime | None


class NewKeyView(KeyView):
    """key: shown this once; only its hash is kept."""

    key: str


class KeyList(BaseModel):
    keys: list[KeyView]


@router.post("", status_code=201)
async def create_key(body: NewKeyBody, parts: Parts, caller: Authenticated) -> NewKeyView:
    """Make a key; the answer is the only place where it is ever shown."""
    row, key = await parts.keys.create(caller.organisation_id, body.name, body.scope)
    return NewKeyView(**_view(row).model_dump(), key=key)


@router.get("")
async def list_keys(parts: Parts, caller: Authenticated) -> KeyList:
    """List all keys, revoked ones too, oldest first."""
    return KeyList(keys=[_view(row) for row in await parts.keys.list(caller.organisation_id)])


@router.post("/{key}/revoke")
async def revoke_key(key: str, parts: Parts, caller: Authenticated) -> KeyView:
    """End a key by its name or id, and at once whatever it holds open."""
    return _view(await parts.keys.revoke(caller.organisation_id, key))


def _view(row: ApiKey) -> KeyView:
    return KeyView(
        id=row.id,
        name=row.name,
        scope=row.scope,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
