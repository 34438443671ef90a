"""Serve the link on a port: the service, health and reflection, with limits.

Runs in: the server. Talks to: grpc. Never: knows what a message means.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from loopai.control.v1 import link_pb2
from loopai.control.v1.link_pb2_grpc import add_ControlPlaneServiceServicer_to_server

from controlplane.link.service import LinkService
from controlplane.link.settings import LinkSettings

SERVICE = link_pb2.DESCRIPTOR.services_by_name["ControlPlaneService"].full_name
STOP_GRACE_S = 0.5  # streams live for weeks: waiting longer for them to end is no use


@asynccontextmanager
async def serving(
    service: LinkService, settings: LinkSettings, host: str, port: int
) -> AsyncIterator[int]:
    """Serve while inside; yield the real port. Raises OSError when it is taken."""
    server = grpc.aio.server(options=_options(settings))
    add_ControlPlaneServiceServicer_to_server(service, server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    try:
        bound = server.add_insecure_port(f"{_bracketed(host)}:{port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error}") from error
    for name in ("", SERVICE):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    try:
        yield bound
    finally:
        await checks.enter_graceful_shutdown()
        await server.stop(STOP_GRACE_S)


def _options(settings: LinkSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Both ends agree on these: the edge pings every 30 s, also while idle.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # Two servers on one port would split the fleet between them without a word.
        ("grpc.so_reuseport", 0),
    ]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
