"""Tell who calls: API keys, kept as HMAC-SHA-256 under a pepper.

A key has 256 random bits, so a slow password hash would add nothing but load.
Runs in: the server, in front of every door. Never: keeps or logs a key.
"""

import structlog
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils import uuid7

from controlplane.access.hashing import hash_of, is_same
from controlplane.access.scopes import Caller
from controlplane.clock import Clock
from controlplane.errors import Unauthenticated
from controlplane.storage.database import Database
from controlplane.storage.keys import KeyFolder
from controlplane.storage.models import ApiKey

log = structlog.get_logger()

ORGANISATION = "default"  # one until there is a second; every row names it already
FIRST_KEY = "first"
SHORT_KEY = 16  # characters; a shorter one can be guessed
MAX_HEADER = 512


class Access:
    """The keys that may call."""

    def __init__(self, database: Database, keys: KeyFolder, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._pepper = keys.pepper()

    async def ensure_first_key(self, given: str | None) -> None:
        """Make the first key known: the given one, else the written one, else a new one.

        It has every scope. One that is known already stays what it is, revoked ones too.
        """
        if given is not None and len(given) < SHORT_KEY:
            log.warning("api_key_short", characters=len(given), advised=SHORT_KEY)
        key = given or self._keys.read_api_key()
        async with self._database.writing() as session:
            if key is None and await session.scalar(_first()):
                return  # it was given at an earlier start
            if key is None:
                key = self._keys.create_api_key()
                log.info("api_key_written", path=str(self._keys.api_key_path))
            hashed = hash_of(self._pepper, key)
            known = await session.scalar(select(ApiKey).where(ApiKey.hmac == hashed))
            if known is None:
                await self._store_first(session, hashed)
            elif known.revoked_at is not None:
                log.warning("api_key_revoked", name=known.name)

    async def identify(self, authorization: str | None) -> Caller:
        """Return who sends this header. Raises Unauthenticated, saying what is missing."""
        scheme, _, key = (authorization or "")[:MAX_HEADER].partition(" ")
        if not authorization:
            raise Unauthenticated(reason="no API key was sent")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthenticated(reason="the authorization is not a Bearer key")
        claimed = hash_of(self._pepper, key.strip())
        async with self._database.reading() as session:
            row = await session.scalar(select(ApiKey).where(ApiKey.hmac == claimed))
        if row is None or not is_same(row.hmac, claimed):
            raise Unauthenticated(reason="the API key is unknown")
        if row.revoked_at is not None:
            raise Unauthenticated(reason=f"the API key '{row.name}' was revoked")
        return Caller(
            organisation_id=row.organisation_id,
            key_id=row.id,
            key_name=row.name,
            scope=row.scope,
        )

    async def _store_first(self, session: AsyncSession, hashed: str) -> None:
        row = await session.scalar(_first().where(ApiKey.revoked_at.is_(None)))
        if row is None:
            row = ApiKey(
                id=str(uuid7()),
                organisation_id=ORGANISATION,
                name=FIRST_KEY,
                scope="admin",
                hmac="",
                created_at=self._clock(),
            )
            session.add(row)
        row.hmac = hashed


def _first() -> Select[ApiKey]:
    return select(ApiKey).where(ApiKey.name == FIRST_KEY)
