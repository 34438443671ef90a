"""Messages out of a stream's bytes, and into them: prefix, compression, size limits. Pure."""

import struct
import zlib
from typing import Final

PREFIX: Final = struct.Struct(">BI")
PREFIX_BYTES: Final = PREFIX.size
ENCODINGS: Final = frozenset({b"identity", b"gzip", b"deflate"})
ACCEPTED: Final = b"identity, deflate, gzip"
_ZLIB_OR_GZIP: Final = 47  # zlib's word for: find out which
_GZIP: Final = 31
_LEVEL: Final = 1  # twice as fast as the default for a tenth more bytes


class MessageTooLarge(Exception):
    """A message, or what it decompresses to, is above the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"message of {size} bytes is above the limit of {limit}")


class MessageMalformed(Exception):
    """The bytes are not a message as gRPC frames it."""


class Assembler:
    """Takes a stream's bytes as they come and gives back whole messages."""

    __slots__ = ("_buffer", "_encoding", "_limit")

    def __init__(self, limit: int, encoding: bytes) -> None:
        """limit: bytes of one message. encoding: the request's `grpc-encoding`."""
        self._buffer = bytearray()
        self._limit = limit
        self._encoding = encoding

    @property
    def held_bytes(self) -> int:
        """Of the message that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """Return complete messages and what each took on the wire.

        Raises MessageTooLarge as soon as a prefix announces too much, and MessageMalformed.
        """
        buffer = self._buffer
        buffer += data
        messages: list[tuple[bytes, int]] = []
        start = 0
        while len(buffer) - start >= PREFIX_BYTES:
            flag, size = PREFIX.unpack_from(buffer, start)
            if size > self._limit:
                raise MessageTooLarge(size, self._limit)
            end = start + PREFIX_BYTES + size
            if len(buffer) < end:
                break
            message = bytes(memoryview(buffer)[start + PREFIX_BYTES : end])
            messages.append((self._plain(flag, message), end - start))
            start = end
        del buffer[:start]
        return messages

    def _plain(self, flag: int, message: bytes) -> bytes:
        if flag == 0:
            return message
        if flag != 1:
            raise MessageMalformed(f"compression flag {flag}")
        if self._encoding == b"identity":
            raise MessageMalformed("a message is compressed, but there is no grpc-encoding")
        return inflate(message, self._limit)


def inflate(message: bytes, limit: int) -> bytes:
    """Return the plain message. Raises MessageTooLarge, MessageMalformed."""
    inflater = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        plain = inflater.decompress(message, limit + 1)
    except zlib.error as error:
        raise MessageMalformed(f"a compressed message cannot be read: {error}") from error
    if len(plain) > limit:
        raise MessageTooLarge(len(plain), limit)
    if not inflater.eof:
        raise MessageMalformed("a compressed message ends too early")
    if inflater.unused_data:
        raise MessageMalformed("a compressed message goes on after its end")
    return plain


def frame(message: bytes, *, encoding: bytes = b"identity") -> bytes:
    """Return the message with its prefix, compressed where an encoding is named."""
    if encoding == b"identity":
        return PREFIX.pack(0, len(message)) + message
    deflater = zlib.compressobj(_LEVEL, wbits=_GZIP if encoding == b"gzip" else zlib.MAX_WBITS)
    packed = deflater.compress(message) + deflater.flush()
    return PREFIX.pack(1, len(packed)) + packed
