"""How a client is sure of whom it talks to, and says who it is: TLS and API keys.

Never: sends a key in clear to another machine unasked, or shows one.
"""

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files in PEM. ca: who signs the server's certificate; None: the authorities known to all.

    certificate: the client's own, where the server asks for one; key: its key, unless the same
    file holds it.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        for name in ("ca", "certificate", "key"):  # a path as text will do
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, Path(path))
        if self.key is not None and self.certificate is None:
            raise ValueError("a client key needs its certificate")

    def channel_credentials(self) -> "grpc.ChannelCredentials":
        """Return what a gRPC channel takes. Raises OSError when a file cannot be read."""
        import grpc

        certificate = self.certificate.read_bytes() if self.certificate else None
        key = self.key.read_bytes() if self.key else certificate
        ca = self.ca.read_bytes() if self.ca else None
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def context(self) -> ssl.SSLContext:
        """Return what HTTPS takes. Raises OSError naming the files, also for one that is no PEM."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            files = ", ".join(str(path) for path in (self.ca, self.certificate, self.key) if path)
            raise OSError(f"{files}: {error}") from error
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one without a password")


def metadata_of(api_key: str | None) -> tuple[tuple[str, str], ...]:
    """Return the header of a key, for gRPC and HTTP alike."""
    return (("authorization", f"Bearer {api_key}"),) if api_key else ()


def check_clear(address: str, *, api_key: str | None, is_encrypted: bool, insecure: bool) -> None:
    """Raise ValueError when a key would go to another machine in clear."""
    if api_key and not (is_encrypted or insecure or stays_here(address)):
        raise ValueError(
            f"{address} would get the API key in clear: use TLS, or say insecure if you accept that"
        )


def stays_here(address: str) -> bool:
    """Say whether host:port or unix:/path is this machine. Of names, only localhost counts."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
