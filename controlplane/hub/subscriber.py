"""One follower of events: what it wants, and what waits for it.

Runs in: the server, on its loop. Talks to: nothing. Never: grows without bound, or waits for a slow
reader: the oldest events go first, are counted, and the next message says how many.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.storage.events import Event, Kind

QUEUED = 256  # events; a minute of a busy loop, and at most some megabytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which events to follow; an empty set means all of the organisation's."""

    organisation_id: str
    key_id: str = ""
    """The API key of whoever wishes."""
    tasks: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()

    def covers(self, organisation_id: str, task: str, kind: Kind) -> bool:
        return (
            organisation_id == self.organisation_id
            and (not self.tasks or task in self.tasks)
            and (not self.kinds or kind in self.kinds)
        )


class Subscriber:
    """Iterate over it for the messages; it ends when the hub closes it."""

    def __init__(self, wish: Wish, *, queued: int = QUEUED) -> None:
        self.wish = wish
        self.is_closed = False
        self.is_revoked = False  # closed because the key it came by is no longer valid
        self._waiting: deque[Event] = deque()  # full: the oldest is dropped and counted
        self._queued = queued
        self._dropped = 0
        self._changed = asyncio.Event()

    def offer(self, event: Event) -> None:
        """Take the event if it is wished for; never waits."""
        if not self.wish.covers(event.organisation_id, event.task, event.kind):
            return
        if len(self._waiting) == self._queued:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event)
        self._changed.set()

    def close(self) -> None:
        """End the iteration; what still waits is not delivered."""
        self.is_closed = True
        self._changed.set()

    def __aiter__(self) -> "Subscriber":
        return self

    async def __anext__(self) -> Mapping[str, Any]:
        while not self._waiting and not self.is_closed:
            self._changed.clear()
            await self._changed.wait()
        if self.is_closed:
            raise StopAsyncIteration
        message = self._waiting.popleft().message()
        if self._dropped:
            message["dropped"], self._dropped = self._dropped, 0
        return message
