"""Know which edges are connected to this server, and let the newest connection win.

Runs in: the server. Never: touches a socket; a connection that is over is told by its event.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from controlplane.errors import ConnectionReplaced, Unauthenticated
from edged.errors import LoopaiError

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Connection:
    """One open stream."""

    deployment_id: str
    instance_id: str
    key_id: str = ""
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    reason: LoopaiError | None = None  # why it is over

    def end(self, reason: LoopaiError) -> None:
        """Tell whoever serves it to stop."""
        self.reason = reason
        self.is_over.set()


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
    def claimed(
        self, deployment_id: str, instance_id: str, key_id: str = ""
    ) -> Iterator[Connection]:
        """Take the deployment's place; who held it learns that it was replaced."""
        connection = Connection(deployment_id=deployment_id, instance_id=instance_id, key_id=key_id)
        former = self._by_deployment.get(deployment_id)
        self._by_deployment[deployment_id] = connection
        if former is not None:
            self._replace(former, connection)
        try:
            yield connection
        finally:
            if self._by_deployment.get(deployment_id) is connection:
                del self._by_deployment[deployment_id]

    def end_revoked(self, revoked: Mapping[str, str]) -> None:
        """Close what was opened by one of these keys, given as id and name."""
        for connection in self._by_deployment.values():
            name = revoked.get(connection.key_id)
            if name is not None:
                connection.end(Unauthenticated(reason=f"the API key '{name}' was revoked"))

    def _replace(self, former: Connection, newer: Connection) -> None:
        former.end(
            ConnectionReplaced(deployment_id=newer.deployment_id, instance_id=newer.instance_id)
        )
        if former.instance_id != newer.instance_id:
            # Two agents with one identity: a copied state folder, most likely.
            log.warning(
                "edge_identity_doubled",
                edge=newer.deployment_id,
                older_instance=former.instance_id,
                newer_instance=newer.instance_id,
            )
