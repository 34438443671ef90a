"""Tell who calls: API keys, kept as HMAC-SHA-256 under a pepper.

A key has 256 random bits, so a slow password hash would add nothing but load.
Runs in: the server, in front of every door. Never: keeps or logs a key.
"""

import hashlib
import hmac
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from uuid_utils import uuid7

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose data the caller may see."""

    organisation_id: str
    key_name: str


class Access:
    """The keys that may call."""

    def __init__(self, database: Database, keys: KeyFolder, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._pepper = keys.pepper()

    async def ensure_first_key(self, given: str | None) -> None:
        """Make the first key known: the given one, else the written one, else a new one."""
        if given is not None and len(given) < SHORT_KEY:
            log.warning("api_key_short", characters=len(given), advised=SHORT_KEY)
        key = given or self._keys.read_api_key()
        async with self._database.writing() as session:
            row = await session.scalar(select(ApiKey).where(ApiKey.name == FIRST_KEY))
            if key is None and row is not None:
                return  # it was given at an earlier start
            if key is None:
                key = self._keys.create_api_key()
                log.info("api_key_written", path=str(self._keys.api_key_path))
            if row is None:
                row = ApiKey(
                    id=str(uuid7()),
                    organisation_id=ORGANISATION,
                    name=FIRST_KEY,
                    hmac="",
                    created_at=self._clock(),
                )
                session.add(row)
            row.hmac = self._hmac(key)

    async def identify(self, authorization: str | None) -> Caller:
        """Return who sends this header. Raises Unauthenticated, saying no more than that."""
        scheme, _, key = (authorization or "")[:MAX_HEADER].partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthenticated
        claimed = self._hmac(key.strip())
        async with self._database.reading() as session:
            row = await session.scalar(select(ApiKey).where(ApiKey.hmac == claimed))
        # The index compared HMACs under a secret pepper; how far they agree tells nothing of a key.
        if row is None or not hmac.compare_digest(row.hmac, claimed):
            raise Unauthenticated
        return Caller(organisation_id=row.organisation_id, key_name=row.name)

    def _hmac(self, key: str) -> str:
        return hmac.new(self._pepper, key.encode(), hashlib.sha256).hexdigest()
