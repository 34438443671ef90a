"""Sections listen and access: where apps call, how it is encrypted, who may call. Pure."""

from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, field_validator, model_validator

from edged.deployment.addresses import is_loopback
from edged.deployment.section import Section

if TYPE_CHECKING:
    from edged.rpc.tls import Tls

_UNIX_PATH_BYTES = 107


class ListenTls(Section):
    """TLS 1.3 on both doors. Files renewed on disk serve new connections within seconds."""

    certificate: Path | None = None
    """PEM, the chain; with it, both doors speak TLS only."""
    key: Path | None = None
    """PEM, without a password."""
    client_ca: Path | None = None
    """PEM; who signs the certificates of callers."""
    require_client_certificate: bool = False

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs a certificate and a key of our own")
        if self.require_client_certificate and self.client_ca is None:
            raise ValueError("require_client_certificate needs client_ca, which signs them")
        return self

    def settings(self) -> "Tls | None":
        """Return what the servers take; None where TLS is off. Raises TlsUnusable."""
        from edged.rpc.tls import Tls

        if self.certificate is None or self.key is None:
            return None
        return Tls(
            certificate=self.certificate,
            key=self.key,
            client_ca=self.client_ca,
            require_client_certificate=self.require_client_certificate,
        )


class Listen(Section):
    """Where apps call: host:port, port 0 takes a free one; or unix:/path."""

    grpc: str = "127.0.0.1:50051"
    http: str = "127.0.0.1:8080"
    tls: ListenTls = ListenTls()
    insecure: bool = False
    """Allow an address other than loopback without TLS or without authentication."""
    max_connections: int = Field(default=4_000, ge=1)
    """Of each door; above it connections are turned away."""

    @field_validator("grpc", "http")
    @classmethod
    def _is_address(cls, address: str) -> str:
        if address.startswith("unix:"):
            if not 0 < len(address.removeprefix("unix:").encode()) <= _UNIX_PATH_BYTES:
                raise ValueError(f"must be unix:/path of at most {_UNIX_PATH_BYTES} bytes")
            return address
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65_535:
            raise ValueError("must be host:port, such as 127.0.0.1:50051, or unix:/path")
        return address


class Access(Section):
    """Who may call. Without a callers_file everybody who reaches a door."""

    callers_file: Path | None = None
    """YAML: callers with hashed API keys or certificate names, and their scopes; reloaded."""


def exposure(listen: Listen, access: Access) -> tuple[str, str] | None:
    """Return the key of a door that is open to strangers, and what it lacks; None if none is."""
    lacks = []
    if listen.tls.certificate is None:
        lacks.append("TLS (listen.tls)")
    if access.callers_file is None and not listen.tls.require_client_certificate:
        lacks.append("authentication (access.callers_file or listen.tls.client_ca)")
    for key in ("grpc", "http"):
        address = getattr(listen, key)
        if lacks and not is_loopback(address):
            return f"listen.{key}", f"{address} is reachable from outside, without " + " and ".join(
                lacks
            )
    return None
