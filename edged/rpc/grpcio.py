"""Construct the reference RPC server: grpc.aio with health and reflection.

Runs in: the gateway, as long as `rpc_server: grpcio` is chosen. Never: binds a port that the
supervisor has not reserved.
"""

from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from edged.errors import ConfigInvalid

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
OPTIONS = (
    ("grpc.so_reuseport", 1),  # the supervisor holds the port; this server joins it
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


def build(
    address: str,
    register: Callable[[grpc.aio.Server], None],
    names: tuple[str, ...],
    checks: health.aio.HealthServicer,
) -> grpc.aio.Server:
    """Return a server that is not started yet.

    register: adds the services; names: their full names, for reflection.
    Raises ConfigInvalid when the port is taken.
    """
    server = grpc.aio.server(options=OPTIONS)
    register(server)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection((*names, health_name, reflection.SERVICE_NAME), server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigInvalid(source="listen.grpc", reason=f"cannot listen on {address}") from error
    return server
