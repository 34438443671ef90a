"""Bind the listeners once and keep them, whatever happens to the processes that serve them.

Runs in: the supervisor. Never: accepts a connection.
"""

import socket
from dataclasses import dataclass
from pathlib import Path

from edged.deployment.addresses import is_loopback
from edged.deployment.doors import Listen
from edged.errors import ConfigInvalid

BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """grpc: with grpcio, bound but not listening: it reserves the port that grpcio joins."""

    grpc: socket.socket
    http: socket.socket
    control: socket.socket
    control_path: Path

    @classmethod
    def bind(cls, listen: Listen, runtime_dir: Path, *, is_grpc_shared: bool) -> "Listeners":
        """Bind all. Raises ConfigInvalid naming the setting, the address and the reason."""
        for key in ("grpc", "http"):
            _check_loopback(key, getattr(listen, key), is_insecure=listen.insecure)
        path = runtime_dir / "gateway.sock"
        control = socket.socket(socket.AF_UNIX)
        control.bind(str(path))
        path.chmod(0o600)
        control.listen(8)
        http = _bind("http", listen.http)
        http.listen(BACKLOG)
        grpc = _bind("grpc", listen.grpc, is_shared=is_grpc_shared)
        if not is_grpc_shared:
            grpc.listen(BACKLOG)
        return cls(grpc=grpc, http=http, control=control, control_path=path)

    @property
    def grpc_address(self) -> str:
        return _address(self.grpc)

    @property
    def http_address(self) -> str:
        return _address(self.http)


def _check_loopback(key: str, address: str, *, is_insecure: bool) -> None:
    if not is_insecure and not is_loopback(address):
        reason = (
            f"{address} is reachable from outside, and there is no TLS or authentication; "
            "listen on 127.0.0.1, or set listen.insecure: true (--insecure)"
        )
        raise ConfigInvalid(source=f"listen.{key}", reason=reason)


def _bind(key: str, address: str, *, is_shared: bool = False) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, int(port)))
    except OSError as error:
        reason = f"cannot listen on {address}: {error.strerror}"
        raise ConfigInvalid(source=f"listen.{key}", reason=reason) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
