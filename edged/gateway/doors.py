"""Both doors, opened and closed together: gRPC and HTTP on inherited sockets.

Runs in: the gateway. Never: knows what an execution is.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket

import grpc
from grpc_health.v1 import health
from loopai.edge.v1 import edge_pb2, edge_pb2_grpc

from edged.deployment import Deployment
from edged.errors import ConfigInvalid
from edged.gateway.access import Access
from edged.gateway.hot import HotMethods
from edged.gateway.http import HttpDoor
from edged.gateway.http_server import HttpServer
from edged.gateway.service import EdgeService
from edged.rpc import native
from edged.rpc.limits import MIB, Counters, Limits
from edged.rpc.server import Server
from edged.rpc.tls import Tls, TlsUnusable

MAX_RECEIVED_BYTES = 12 * MIB  # each door; scripts/chaos hostile: gRPC's then costs under 64 MB
SERVICE = edge_pb2.DESCRIPTOR.services_by_name["EdgeService"].full_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """grpc listens already, unless grpcio serves: then grpc_address says which port it joins."""

    grpc: Callable[[], socket]
    http: socket
    grpc_address: str


class Doors:
    """What callers reach."""

    def __init__(
        self,
        deployment: Deployment,
        sockets: Sockets,
        access: Access | None,
        service: EdgeService,
        hot: HotMethods,
        http: HttpDoor,
        checks: health.aio.HealthServicer,
    ) -> None:
        """Raises ConfigInvalid when a certificate does not hold."""
        self._limits = Limits(
            max_connections=deployment.listen.max_connections,
            max_received_bytes=MAX_RECEIVED_BYTES,
        )
        try:
            tls = deployment.listen.tls.settings()
            self._rpc = self._rpc_server(deployment, sockets, tls, access, service, hot, checks)
            self._http = HttpServer(http, sockets.http, self._limits, tls)
        except TlsUnusable as error:
            raise ConfigInvalid(source="listen.tls", reason=str(error)) from error

    @property
    def counters(self) -> dict[str, Counters]:
        """What the defences of each door did; grpcio counts nothing."""
        found = {"http": self._http.counters}
        return found | ({"grpc": self._rpc.counters} if isinstance(self._rpc, Server) else {})

    async def run(self) -> None:
        """Look after HTTP connections until cancelled or stopped; gRPC looks after itself."""
        await self._http.run()

    async def open(self) -> None:
        await self._rpc.start()

    async def close(self, grace_s: float) -> None:
        """Take no new call, finish those that run."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._http.stop(grace_s))
            tasks.create_task(self._rpc.stop(grace_s))

    def _rpc_server(
        self,
        deployment: Deployment,
        sockets: Sockets,
        tls: Tls | None,
        access: Access | None,
        service: EdgeService,
        hot: HotMethods,
        checks: health.aio.HealthServicer,
    ) -> grpc.aio.Server:
        def register(rpc: grpc.aio.Server) -> None:
            edge_pb2_grpc.add_EdgeServiceServicer_to_server(service, rpc)
            if isinstance(rpc, Server):
                hot.register(rpc)

        if deployment.runtime.rpc_server == "grpcio":
            from edged.rpc import grpcio

            return grpcio.build(
                sockets.grpc_address,
                register,
                (SERVICE,),
                checks,
                admit=access.admit_rpc if access else None,
            )
        return native.build(
            sockets.grpc(),
            register,
            (SERVICE,),
            checks,
            limits=self._limits,
            tls=tls,
            admit=access.admit_rpc if access else None,
        )
