"""End what is open by a key that was revoked: streams of edges, websockets of people.

Runs in: the server. Talks to: whoever holds such connections. Never: decides who may call; a call
that begins is asked for its key.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from controlplane.access.keys import Keys
from controlplane.storage.outbox import EVERYBODY, KEYS, Wakeups

log = structlog.get_logger()

RECHECK_S = 30.0  # a wake-up that was lost delays the end by this at most


class Holder(Protocol):
    """Holds what callers keep open."""

    def end_revoked(self, revoked: Mapping[str, str]) -> None:
        """Close what was opened by one of these keys, given as id and name."""


class Revocations:
    """Follow the revocations of every process."""

    name = "revocations"

    def __init__(self, keys: Keys, wakeups: Wakeups, holders: Sequence[Holder]) -> None:
        self._keys = keys
        self._wakeups = wakeups
        self._holders = holders

    async def run(self) -> None:
        """Until cancelled."""
        with self._wakeups.subscribed(KEYS, EVERYBODY) as changed:
            while True:
                changed.clear()
                await self._apply()
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), RECHECK_S)

    async def _apply(self) -> None:
        try:
            revoked = await self._keys.revoked()
        except SQLAlchemyError:
            log.exception("revocations_unreadable", retry_in_s=RECHECK_S)
            return
        for holder in self._holders:
            holder.end_revoked(revoked)
