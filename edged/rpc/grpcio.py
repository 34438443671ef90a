"""Construct the reference RPC server: grpc.aio with health and reflection.

Runs in: the gateway and the control plane's server, when `rpc_server: grpcio` is chosen. Never:
binds a port of the gateway that the supervisor has not reserved. Its TLS cannot be told 1.3 only,
and it does not follow renewed certificates.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from edged.errors import ConfigInvalid
from edged.rpc.codes import RpcError
from edged.rpc.peer import Peer
from edged.rpc.server import Admission
from edged.rpc.tls import Tls

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
OPTIONS = (
    ("grpc.so_reuseport", 1),  # the supervisor holds the port; this server joins it
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def build(
    address: str,
    register: Callable[[grpc.aio.Server], None],
    names: tuple[str, ...],
    checks: health.aio.HealthServicer,
    *,
    tls: Tls | None = None,
    admit: Admission | None = None,
) -> grpc.aio.Server:
    """Return a server that is bound and not started yet.

    register: adds the services; names: their full names, for reflection. admit: as for `server`.
    Raises ConfigInvalid when the port is taken.
    """
    interceptors = (_Admitting(admit),) if admit else ()
    server = make(register, names, checks, OPTIONS, interceptors)
    try:
        if tls is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, _credentials(tls))
    except RuntimeError as error:
        raise ConfigInvalid(source="listen.grpc", reason=f"cannot listen on {address}") from error
    return server


def make(
    register: Callable[[grpc.aio.Server], None],
    names: tuple[str, ...],
    checks: health.aio.HealthServicer,
    options: Sequence[tuple[str, int]],
    interceptors: Sequence[Any] = (),
) -> grpc.aio.Server:
    """Return a server that is not bound yet."""
    server = grpc.aio.server(options=options, interceptors=interceptors)
    register(server)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection(
        (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return server


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=tls.client_ca.read_bytes() if tls.client_ca else None,
        require_client_auth=tls.require_client_certificate,
    )


class _Admitting(grpc.aio.ServerInterceptor):
    """Asks `admit` before a handler is found. It cannot see certificates: only keys count."""

    def __init__(self, admit: Admission) -> None:
        self._admit = admit

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        headers = {
            key.encode(): value if isinstance(value, bytes) else value.encode()
            for key, value in handler_call_details.invocation_metadata or ()
        }
        try:
            self._admit(handler_call_details.method.encode(), headers, Peer(address=""))
        except RpcError as error:
            return refusal(error, await continuation(handler_call_details))
        return await continuation(handler_call_details)


def refusal(error: RpcError, handler: Any) -> Any:
    """Return a handler of the same kind that ends the call with this status."""

    async def refuse(_request: Any, context: Any) -> None:
        await context.abort(_CODES[error.code], error.details, error.trailing_metadata)

    if handler is None:
        return grpc.unary_unary_rpc_method_handler(refuse)
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Any = kinds[handler.request_streaming, handler.response_streaming]
    return make(refuse)
