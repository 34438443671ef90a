"""TLS of a listening port: 1.3 only, ALPN h2, client certificates on request, renewal on disk.

Runs in: the process of the server. Never: shows a key, or drops a connection for a new certificate.
"""

import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class TlsUnusable(ValueError):
    """The files named do not make a working certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """certificate: PEM, the chain. key: PEM. client_ca: PEM, who signs clients' certificates."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    require_client_certificate: bool = False

    def __post_init__(self) -> None:
        if self.require_client_certificate and self.client_ca is None:
            raise TlsUnusable("require_client_certificate needs client_ca, which signs them")

    def context(self, protocols: tuple[str, ...] = ("h2",)) -> ssl.SSLContext:
        """Return a fresh context from what the files hold now. Raises TlsUnusable."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(list(protocols))
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise TlsUnusable(f"{self._files()}: {error}") from error
        if self.client_ca is not None:
            context.verify_mode = (
                ssl.CERT_REQUIRED if self.require_client_certificate else ssl.CERT_OPTIONAL
            )
        return context

    def stamps(self) -> tuple[int, ...]:
        """Return what changes when a file is renewed: times and inode numbers."""
        found: list[int] = []
        for path in (self.certificate, self.key, self.client_ca):
            if path is not None:
                with suppress(OSError):  # not there, or not for us to see
                    status = path.stat()
                    found += [status.st_mtime_ns, status.st_ino]
        return tuple(found)

    def _files(self) -> str:
        return ", ".join(str(path) for path in (self.certificate, self.key, self.client_ca) if path)


class TlsFiles:
    """A context that follows its files. Connections keep the one they began with."""

    def __init__(self, tls: Tls, protocols: tuple[str, ...] = ("h2",)) -> None:
        """Raises TlsUnusable."""
        self._tls = tls
        self._protocols = protocols
        self._stamps = tls.stamps()
        self.context = tls.context(protocols)

    def refresh(self) -> None:
        """Look at the files; half-written ones leave the old context in place."""
        stamps = self._tls.stamps()
        if stamps == self._stamps:
            return
        try:
            self.context = self._tls.context(self._protocols)
        except TlsUnusable as error:
            log.warning("certificate_not_renewed", reason=str(error))
        else:
            log.info("certificate_renewed", path=str(self._tls.certificate))
        self._stamps = stamps


def _no_password() -> str:
    raise ValueError("the key is encrypted; this server takes keys without a password")
