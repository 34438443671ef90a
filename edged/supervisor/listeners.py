"""Bind the listeners once and keep them, whatever happens to the processes that serve them.

Runs in: the supervisor. Never: accepts a connection.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.activation import address_of
from edged.deployment.listening import Listen
from edged.errors import ConfigInvalid
from edged.files import is_deserted

BACKLOG = 1024
_UNIX = "unix:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """grpc: with grpcio, bound but not listening: it reserves the port that grpcio joins."""

    grpc: socket.socket
    http: socket.socket
    control: socket.socket
    control_path: Path

    @classmethod
    def bind(
        cls,
        listen: Listen,
        runtime_dir: Path,
        given: Mapping[str, socket.socket],
        *,
        is_grpc_shared: bool,
    ) -> "Listeners":
        """Bind what was not given. Raises ConfigInvalid naming setting, address and reason."""
        if is_grpc_shared and "grpc" in given:
            reason = "grpcio cannot take a socket; use ngh2, or let edged bind the port"
            raise ConfigInvalid(source="runtime.rpc_server", reason=reason)
        path = runtime_dir / "gateway.sock"
        control = socket.socket(socket.AF_UNIX)
        control.bind(str(path))
        path.chmod(0o600)
        control.listen(8)
        http = given.get("http") or _bind("http", listen.http)
        http.listen(BACKLOG)
        grpc = given.get("grpc") or _bind("grpc", listen.grpc, is_shared=is_grpc_shared)
        if not is_grpc_shared:
            grpc.listen(BACKLOG)
        return cls(grpc=grpc, http=http, control=control, control_path=path)

    @property
    def grpc_address(self) -> str:
        return address_of(self.grpc)

    @property
    def http_address(self) -> str:
        return address_of(self.http)


def _bind(key: str, address: str, *, is_shared: bool = False) -> socket.socket:
    try:
        if address.startswith(_UNIX):
            return _bind_unix(Path(address.removeprefix(_UNIX)))
        return _bind_tcp(address, is_shared=is_shared)
    except OSError as error:
        reason = f"cannot listen on {address}: {error.strerror}"
        raise ConfigInvalid(source=f"listen.{key}", reason=reason) from error


def _bind_tcp(address: str, *, is_shared: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, int(port)))
    return listener


def _bind_unix(path: Path) -> socket.socket:
    """Raises OSError, also where a living process listens already."""
    listener = socket.socket(socket.AF_UNIX)
    if is_deserted(path):
        path.unlink()
    listener.bind(str(path))
    return listener
