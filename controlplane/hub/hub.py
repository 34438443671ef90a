"""Pass events from the outbox to their followers.

The outbox is the one source, so an event of the jobs process arrives like one of this process.
Counted telemetry comes as a wake-up without content and, with many edges, many times a second:
the hub reads the metrics itself, at most once an interval for a task, and only if somebody follows.
Runs in: the server. Talks to: whoever reads metrics. Never: waits for a follower.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

from controlplane.clock import Clock
from controlplane.errors import HubFull
from controlplane.hub.subscriber import QUEUED, Subscriber, Wish
from controlplane.storage.events import Event, Kind, event_of
from controlplane.storage.models import OutboxRow
from controlplane.storage.outbox import TELEMETRY

log = structlog.get_logger()

METRICS: Kind = "OnMetricUpdate"
METRIC_INTERVAL_S = 1.0  # a person sees no more
MAX_SUBSCRIBERS = 500

ReadMetrics = Callable[[str, str], Awaitable[Mapping[str, Any]]]  # organisation, task's name


class Hub:
    """The followers of this process. One follower's slowness is nobody else's."""

    name = "hub"

    def __init__(
        self,
        read_metrics: ReadMetrics,
        clock: Clock,
        *,
        metric_interval_s: float = METRIC_INTERVAL_S,
        queued: int = QUEUED,
    ) -> None:
        self._read_metrics = read_metrics
        self._clock = clock
        self._metric_interval_s = metric_interval_s
        self._queued = queued
        self._subscribers: set[Subscriber] = set()
        self._counted: dict[tuple[str, str], None] = {}  # organisation, task; oldest first
        self._has_counted = asyncio.Event()
        self._is_closed = False

    @contextmanager
    def subscribed(self, wish: Wish) -> Iterator[Subscriber]:
        """Follow from now on. Raises HubFull."""
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise HubFull(limit=MAX_SUBSCRIBERS)
        subscriber = Subscriber(wish, queued=self._queued)
        if self._is_closed:
            subscriber.close()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    def take(self, rows: Sequence[OutboxRow]) -> None:
        """Accept what the outbox has new; never waits."""
        for row in rows:
            event = event_of(row)
            if event is not None:
                self.publish(event)
            elif row.topic == TELEMETRY:
                self._counted[row.organisation_id, row.subject] = None
                self._has_counted.set()

    def publish(self, event: Event) -> None:
        """Hand an event to its followers of this process only; others publish by the outbox."""
        for subscriber in self._subscribers:
            subscriber.offer(event)

    async def run(self) -> None:
        """Tell of metrics until cancelled."""
        while True:
            await self._has_counted.wait()
            self._has_counted.clear()
            counted, self._counted = self._counted, {}
            for organisation_id, task in counted:
                await self._tell_metrics(organisation_id, task)
            await asyncio.sleep(self._metric_interval_s)

    def close(self) -> None:
        """End every subscription: the process is stopping."""
        self._is_closed = True
        for subscriber in self._subscribers:
            subscriber.close()

    def end_revoked(self, revoked: Mapping[str, str]) -> None:
        """Close what was opened by one of these keys, given as id and name."""
        for subscriber in self._subscribers:
            if subscriber.wish.key_id in revoked:
                subscriber.is_revoked = True
                subscriber.close()

    async def _tell_metrics(self, organisation_id: str, task: str) -> None:
        followers = (each.wish.covers(organisation_id, task, METRICS) for each in self._subscribers)
        if not any(followers):
            return
        try:
            metrics = await self._read_metrics(organisation_id, task)
        except Exception:
            # The next count tries again; a database in trouble must not end the followers' events.
            log.exception("metrics_unreadable", task=task)
            return
        self.publish(
            Event(
                kind=METRICS,
                organisation_id=organisation_id,
                task=task,
                at=self._clock(),
                content={"metrics": dict(metrics)},
            )
        )
