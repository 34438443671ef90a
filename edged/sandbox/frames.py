"""The words that pool and worker exchange: frames on a stream socket, and the outcomes.

Runs in: the worker and the process that owns the pool. Never: touches a socket.

A frame is a header (bytes that follow, kind, index of the call) and a body. Several frames travel
in one write. Numbers are little-endian. Both sides are built from the same tree and start together,
so there is no version: a frame that does not parse means the other side has been taken over.
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple


class Outcome(enum.IntEnum):
    """How one execution fared; the numbers are those of the wire."""

    SUCCESS = 1
    ERROR = 2
    TIMEOUT = 3
    MEMORY = 4
    VIOLATION = 5


class Kind(enum.IntEnum):
    """What a frame says."""

    READY = 1  # worker: locked; body is the jail report as JSON
    LOAD = 2  # pool: the program
    LOADED = 3  # worker: serving
    REFUSED = 4  # worker: not this program; body is JSON, one object a refusal
    RUN = 5  # pool: one call
    RESULT = 6  # worker: its answer


class FrameMalformed(Exception):
    """The bytes are no frame of ours."""


HEADER: Final = struct.Struct("<IBI")  # bytes of the body, kind, index of the call
RUN: Final = struct.Struct(
    "<QQ"
)  # limit in ns; caller's deadline on the monotonic clock in ns or 0
RESULT: Final = struct.Struct(
    "<BBHQd"
)  # outcome, flags, bytes of the error type, run ns, confidence
LOAD: Final = struct.Struct("<QQQQB")  # see Load

HAS_CONFIDENCE: Final = 1
CUT_BY_CALLER: Final = 2
IS_LAST: Final = 4
"""The worker leaves after this answer; what was written ahead to it has not been started."""

MAX_FRAME_BYTES: Final = (
    64 * 1024 * 1024
)  # far above any configured limit; a lie must not make us buffer


class Frame(NamedTuple):
    kind: int
    call_index: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A program and what bounds it, for one worker."""

    source: bytes
    source_bytes_limit: int
    load_limit_ns: int
    memory_bytes: int  # for each of loading and one call, on top of what the worker used before
    result_bytes_limit: int
    returns_confidence: bool


def frame(kind: Kind, index: int, body: bytes) -> bytes:
    """Return one whole frame."""
    return HEADER.pack(len(body), kind, index) + body


def pack_load(load: Load) -> bytes:
    limits = LOAD.pack(
        load.source_bytes_limit,
        load.load_limit_ns,
        load.memory_bytes,
        load.result_bytes_limit,
        load.returns_confidence,
    )
    return frame(Kind.LOAD, 0, limits + load.source)


def unpack_load(body: bytes) -> Load:
    source_limit, load_limit, memory, result_limit, returns_confidence = LOAD.unpack_from(body)
    return Load(
        source=body[LOAD.size :],
        source_bytes_limit=source_limit,
        load_limit_ns=load_limit,
        memory_bytes=memory,
        result_bytes_limit=result_limit,
        returns_confidence=bool(returns_confidence),
    )


def split(received: bytes) -> tuple[list[Frame], bytes]:
    """Return the whole frames at the front and what is left of the next one.

    Raises FrameMalformed when a header announces more than MAX_FRAME_BYTES.
    """
    frames: list[Frame] = []
    at = 0
    end = len(received)
    header_bytes = HEADER.size
    while end - at >= header_bytes:
        length, kind, index = HEADER.unpack_from(received, at)
        if length > MAX_FRAME_BYTES:
            raise FrameMalformed
        after = at + header_bytes + length
        if after > end:
            break
        frames.append(Frame(kind, index, received[at + header_bytes : after]))
        at = after
    return frames, received[at:]
