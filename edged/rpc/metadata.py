"""Headers on the wire, metadata in Python, and the few headers that are gRPC's own. Pure."""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Final, NamedTuple
from urllib.parse import quote

from edged.rpc.codes import Metadata

Header = tuple[bytes, bytes]


class Metadatum(NamedTuple):
    """One entry as grpc.aio hands it to handlers: interceptors ask for it by these names."""

    key: str
    value: str | bytes


_entry: Final = partial(tuple.__new__, Metadatum)  # twice as fast as to call the class

_KEY: Final = re.compile(r"[0-9a-z_.-]+")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")
_TIMEOUT: Final = re.compile(rb"(\d{1,8})([HMSmun])")
_UNITS_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CENTURY_S: Final = 100 * 365 * 86_400.0  # in nanoseconds, as deadlines travel, still 63 bits
_OF_GRPC: Final = frozenset({"grpc-status-details-bin", "grpc-retry-pushback-ms"})
"""Keys in gRPC's own name that a handler sets."""
_SAFE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_TRANSPORT: Final = frozenset(
    {
        b"te",
        b"content-type",
        b"content-length",
        b"host",
        b"connection",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-message-type",
    }
)


def read_metadata(headers: Iterable[Header]) -> Metadata:
    """Return what a handler may see. Values of `…-bin` keys are bytes.

    Raises ValueError when such a value is not base64.
    """
    found: list[Metadatum] = []
    for name, value in headers:
        if name.startswith(b":") or name in _TRANSPORT:
            continue
        if name.endswith(b"-bin"):
            key = name.decode("latin-1")
            found += [_entry((key, _unbase64(part))) for part in value.split(b",")]
        else:
            found.append(_entry((name.decode("latin-1"), value.decode("latin-1"))))
    return tuple(found)


def write_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> list[Header]:
    """Return headers. Raises TypeError, ValueError naming the key that cannot travel."""
    return [_header(key, value) for key, value in metadata]


def read_timeout_s(value: bytes) -> float:
    """Return the seconds of a `grpc-timeout`, a century at most. Raises ValueError."""
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise ValueError(f"grpc-timeout {value[:20]!r} is not digits and a unit")
    return min(int(match[1]) * _UNITS_S[match[2]], _CENTURY_S)


def write_status(
    code: int, details: str, trailing: Sequence[tuple[str, str | bytes]] = ()
) -> list[Header]:
    """Return the trailers that end a call. Raises ValueError as `write_metadata`."""
    trailers = [(b"grpc-status", b"%d" % code)]
    if details:
        trailers.append((b"grpc-message", quote(details, safe=_SAFE, errors="replace").encode()))
    return trailers + write_metadata(trailing)


def header_list_bytes(headers: Sequence[Header]) -> int:
    """Return the size as RFC 9113 counts it."""
    return sum(map(len, chain.from_iterable(headers))) + 32 * len(headers)


def _unbase64(text: bytes) -> bytes:
    text = text.strip().rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"a binary header is not base64: {error}") from error


def _header(key: str, value: str | bytes) -> Header:
    if not isinstance(value, str | bytes):
        raise TypeError(f"the value of metadata key {key!r} is neither text nor bytes")
    if not _KEY.fullmatch(key):
        raise ValueError(f"metadata key {key!r} holds more than a-z, 0-9, '_', '.' and '-'")
    if key.startswith("grpc-") and key not in _OF_GRPC:
        raise ValueError(f"metadata key {key!r} is gRPC's own")
    if key.endswith("-bin"):
        raw = value if isinstance(value, bytes) else value.encode()
        return key.encode(), base64.b64encode(raw).rstrip(b"=")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not _PRINTABLE.fullmatch(text):
        raise ValueError(f"the value of metadata key {key!r} is not printable ASCII; use {key}-bin")
    return key.encode(), text.encode()
