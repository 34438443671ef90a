"""Know which edges are connected to this server, and let the newest connection win.

Runs in: the server. Never: touches a socket; a connection that lost is told by its event.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Connection:
    """One open stream."""

    deployment_id: str
    instance_id: str
    is_replaced: asyncio.Event = field(default_factory=asyncio.Event)
    replaced_by: str = ""  # the newer connection's instance_id


class Connections:
    """At most one connection a deployment."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._by_deployment: dict[str, Connection] = {}

    def has_room_for(self, deployment_id: str) -> bool:
        """One that is connected already takes its own place again."""
        return deployment_id in self._by_deployment or len(self._by_deployment) < self._limit

    def is_connected(self, deployment_id: str) -> bool:
        return deployment_id in self._by_deployment

    @contextmanager
    def claimed(self, deployment_id: str, instance_id: str) -> Iterator[Connection]:
        """Take the deployment's place; who held it learns that it was replaced."""
        connection = Connection(deployment_id=deployment_id, instance_id=instance_id)
        former = self._by_deployment.get(deployment_id)
        self._by_deployment[deployment_id] = connection
        if former is not None:
            self._replace(former, connection)
        try:
            yield connection
        finally:
            if self._by_deployment.get(deployment_id) is connection:
                del self._by_deployment[deployment_id]

    def _replace(self, former: Connection, newer: Connection) -> None:
        former.replaced_by = newer.instance_id
        former.is_replaced.set()
        if former.instance_id != newer.instance_id:
            # Two agents with one identity: a copied state folder, most likely.
            log.warning(
                "edge_identity_doubled",
                edge=newer.deployment_id,
                older_instance=former.instance_id,
                newer_instance=newer.instance_id,
            )
