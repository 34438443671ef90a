"""Serve the link on a port: the service, health and reflection, with limits.

Runs in: the server. Talks to: our RPC server, or grpcio's. Never: knows what a message means.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health, health_pb2
from loopai.control.v1 import link_pb2
from loopai.control.v1.link_pb2_grpc import add_ControlPlaneServiceServicer_to_server

from controlplane.link.doorkeeper import Doorkeeper
from controlplane.link.service import LinkService
from controlplane.link.settings import LinkDoor, LinkSettings
from edged.rpc import grpcio, native
from edged.rpc.keepalive import SERVER_OPTIONS, keeping_alive
from edged.rpc.limits import MIB, Limits
from edged.rpc.listener import bind

SERVICE = link_pb2.DESCRIPTOR.services_by_name["ControlPlaneService"].full_name
STOP_GRACE_S = 0.5  # streams live for weeks: waiting longer for them to end is no use


@asynccontextmanager
async def serving(
    service: LinkService, settings: LinkSettings, door: LinkDoor
) -> AsyncIterator[int]:
    """Serve while inside; yield the real port. Raises OSError, also when it is taken, TlsUnusable.

    TLS is our own server's: grpcio cannot be held to TLS 1.3.
    """
    checks = health.aio.HealthServicer()
    build = _reference if door.rpc_server == "grpcio" else _ours
    server, port = build(service, settings, door, checks)
    for name in ("", SERVICE):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    try:
        yield port
    finally:
        await checks.enter_graceful_shutdown()
        await server.stop(STOP_GRACE_S)
        await service.ended()


def _ours(
    service: LinkService, settings: LinkSettings, door: LinkDoor, checks: health.aio.HealthServicer
) -> tuple[grpc.aio.Server, int]:
    try:
        # Two servers on one port would split the fleet between them without a word.
        listener = bind(door.address, shares_port=False)
    except OSError as error:
        raise OSError(f"cannot listen on {door.address}: {error.strerror}") from error
    port = int(listener.getsockname()[1])

    def register(server: grpc.aio.Server) -> None:
        add_ControlPlaneServiceServicer_to_server(service, server)

    rpc = native.build(
        listener,
        register,
        (SERVICE,),
        checks,
        limits=_limits(settings),
        tls=door.tls,
        interceptors=(Doorkeeper(service.access),),
    )
    return rpc, port


def _reference(
    service: LinkService, settings: LinkSettings, door: LinkDoor, checks: health.aio.HealthServicer
) -> tuple[grpc.aio.Server, int]:
    def register(server: grpc.aio.Server) -> None:
        add_ControlPlaneServiceServicer_to_server(service, server)

    options = (
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.so_reuseport", 0),
        *SERVER_OPTIONS,
    )
    server = grpcio.make(register, (SERVICE,), checks, options, (_Guarding(service.access),))
    try:
        return server, server.add_insecure_port(door.address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {door.address}: {error}") from error


class _Guarding(Doorkeeper, grpc.aio.ServerInterceptor):
    """As grpcio wants it: by type."""


def _limits(settings: LinkSettings) -> Limits:
    limits = Limits(
        max_receive_message_bytes=settings.max_message_bytes,
        max_send_message_bytes=settings.max_message_bytes,
        # Those beyond the fleet's are told when to come back, which takes a connection.
        max_connections=2 * settings.max_connections + 100,
        max_concurrent_streams=100,
        # After an outage the whole fleet sends what it kept, and fetches what it missed.
        max_received_bytes=256 * MIB,
        max_unsent_total_bytes=256 * MIB,
    )
    return keeping_alive(limits)
