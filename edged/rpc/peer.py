"""Who is at the other end of a connection: address and, with TLS, certificate. Pure."""

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """address: as gRPC writes it.

    identities: the subject alternative names of the client's certificate, else its common name.
    """

    address: str
    identity_key: str | None = None
    identities: tuple[bytes, ...] = ()
    properties: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return self.properties


def peer_of(name: Any, ssl_object: Any) -> Peer:
    """name: a socket's peer name. ssl_object: None without TLS."""
    address = _address(name)
    if ssl_object is None:
        return Peer(address=address)
    certificate = ssl_object.getpeercert() or {}
    properties: dict[str, tuple[bytes, ...]] = {
        "transport_security_type": (b"ssl",),
        "ssl_version": (str(ssl_object.version()).encode(),),
    }
    der = ssl_object.getpeercert(binary_form=True)
    if der:
        properties["x509_pem_cert"] = (ssl.DER_cert_to_PEM_cert(der).encode(),)
    common = _common_name(certificate)
    if common:
        properties["x509_common_name"] = (common,)
    alternatives = certificate.get("subjectAltName", ())
    names = tuple(value.encode() for _, value in alternatives if isinstance(value, str))
    if names:
        properties["x509_subject_alternative_name"] = names
    key = "x509_subject_alternative_name" if names else "x509_common_name" if common else None
    return Peer(
        address=address,
        identity_key=key,
        identities=properties[key] if key else (),
        properties=properties,
    )


def _address(name: Any) -> str:
    if not isinstance(name, tuple):
        return "unix:"
    host, port = name[:2]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


def _common_name(certificate: Mapping[str, Any]) -> bytes:
    pairs = (pair for group in certificate.get("subject", ()) for pair in group)
    return next((value.encode() for key, value in pairs if key == "commonName"), b"")
