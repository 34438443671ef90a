"""Construct our RPC server: limits, the raw methods, health and reflection.

Runs in: the gateway and the control plane's server. Never: binds; the listener is given.
"""

from collections.abc import Callable, Sequence
from socket import socket

from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from edged.rpc.limits import Limits
from edged.rpc.methods import Interceptor
from edged.rpc.server import Admission, Server, server
from edged.rpc.tls import Tls


def build(
    listener: socket,
    register: Callable[[Server], None],
    names: tuple[str, ...],
    checks: health.aio.HealthServicer,
    *,
    limits: Limits | None = None,
    tls: Tls | None = None,
    admit: Admission | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> Server:
    """Return a server that is not started yet.

    listener: listens already. register: adds the services; names: their full names, for reflection.
    Raises TlsUnusable.
    """
    rpc = server(limits=limits, admit=admit, interceptors=interceptors)
    register(rpc)
    health_pb2_grpc.add_HealthServicer_to_server(checks, rpc)
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), rpc)
    rpc.add_listener(listener, tls)
    return rpc
