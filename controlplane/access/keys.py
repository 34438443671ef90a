"""Make, list and revoke API keys.

Runs in: the server. Talks to: the database. Never: shows a key but the one just made, or deletes
one: who had access stays known.
"""

from collections.abc import Sequence

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from controlplane.access.access import FIRST_KEY
from controlplane.access.hashing import hash_of
from controlplane.access.scopes import Scope
from controlplane.clock import Clock
from controlplane.errors import KeyExists, KeyUnknown, LastKey
from controlplane.storage.database import Database
from controlplane.storage.keys import KeyFolder, new_api_key
from controlplane.storage.models import ApiKey
from controlplane.storage.outbox import EVERYBODY, KEYS, announce

log = structlog.get_logger()


class Keys:
    """The API keys of all organisations."""

    def __init__(self, database: Database, folder: KeyFolder, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._pepper = folder.pepper()

    async def create(self, organisation_id: str, name: str, scope: Scope) -> tuple[ApiKey, str]:
        """Return the row and the key, which nobody can see again. Raises KeyExists.

        A name may be used again after its key was revoked, but for the first key's.
        """
        key = new_api_key()
        row = ApiKey(
            id=str(uuid7()),
            organisation_id=organisation_id,
            name=name,
            scope=scope,
            hmac=hash_of(self._pepper, key),
            created_at=self._clock(),
        )
        async with self._database.writing() as session:
            is_taken = await session.scalar(_valid(organisation_id).where(ApiKey.name == name))
            if is_taken or name == FIRST_KEY:
                raise KeyExists(key=name)
            session.add(row)
        log.info("api_key_created", name=name, scope=scope)
        return row, key

    async def list(self, organisation_id: str) -> Sequence[ApiKey]:
        """Return all, the revoked ones too, oldest first."""
        query = select(ApiKey).where(ApiKey.organisation_id == organisation_id)
        async with self._database.reading() as session:
            return (await session.scalars(query.order_by(ApiKey.created_at, ApiKey.id))).all()

    async def revoke(self, organisation_id: str, key: str) -> ApiKey:
        """End a key by its name or id. Raises KeyUnknown, LastKey."""
        chosen = (ApiKey.name == key) | (ApiKey.id == key)
        async with self._database.writing() as session:
            row = await session.scalar(_valid(organisation_id).where(chosen))
            if row is None:
                raise KeyUnknown(key=key)
            if row.scope == "admin" and await self._admins(session, organisation_id) == 1:
                raise LastKey(key=row.name)
            row.revoked_at = self._clock()
            announce(
                session,
                self._clock,
                organisation_id=organisation_id,
                topic=KEYS,
                subject=EVERYBODY,
            )
        log.info("api_key_ended", name=row.name, scope=row.scope)
        return row

    async def revoked(self) -> dict[str, str]:
        """Return the names of all revoked keys by id."""
        query = select(ApiKey.id, ApiKey.name).where(ApiKey.revoked_at.is_not(None))
        async with self._database.reading() as session:
            return {row.id: row.name for row in await session.execute(query)}

    async def _admins(self, session: AsyncSession, organisation_id: str) -> int:
        valid = _valid(organisation_id).where(ApiKey.scope == "admin").subquery()
        return await session.scalar(select(func.count()).select_from(valid)) or 0


def _valid(organisation_id: str) -> Select[ApiKey]:
    return select(ApiKey).where(
        ApiKey.organisation_id == organisation_id, ApiKey.revoked_at.is_(None)
    )
