"""HTTP/2 frames by hand, for clients that break the rules. Pure; RFC 9113 and RFC 7541."""

from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
INITIAL_WINDOW_SIZE = 4
CANCEL = 8

Headers = Iterable[tuple[bytes, bytes]]


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def settings(values: dict[int, int] | None = None) -> bytes:
    pairs = (values or {}).items()
    return frame(SETTINGS, b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in pairs))


def greeting(values: dict[int, int] | None = None) -> bytes:
    """Return the preface, our settings and the acknowledgement of the server's."""
    return PREFACE + settings(values) + frame(SETTINGS, flags=ACK)


def headers(fields: Headers, stream: int, *, end: bool = False) -> bytes:
    flags = END_HEADERS | (END_STREAM if end else 0)
    return frame(HEADERS, packed(fields), flags=flags, stream=stream)


def data(payload: bytes, stream: int, *, end: bool = False) -> bytes:
    """Return as many frames as the payload needs."""
    pieces = [payload[at : at + 16_384] for at in range(0, len(payload), 16_384)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        frame(DATA, piece, flags=END_STREAM if end and at == last else 0, stream=stream)
        for at, piece in enumerate(pieces)
    )


def reset(stream: int) -> bytes:
    return frame(RST_STREAM, CANCEL.to_bytes(4, "big"), stream=stream)


def call_fields(path: str, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", path.encode()),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]


def packed(fields: Headers) -> bytes:
    """Return HPACK that needs no memory at either end: literal, never indexed, no Huffman."""
    return b"".join(b"\x10" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    length = len(text)
    if length < 127:
        return bytes([length]) + text
    length -= 127
    prefix = bytearray([127])
    while length >= 128:
        prefix.append(length % 128 | 128)
        length //= 128
    prefix.append(length)
    return bytes(prefix) + text
