"""The words that pool and worker exchange: frames on a stream socket, and the outcomes.

Runs in: the worker and the process that owns the pool. Never: touches a socket.

A frame is a header (bytes that follow, kind, index of the call) and a body. Several frames travel
in one write. Numbers are little-endian. Both sides are built from the same tree and start together,
so there is no version: a frame that does not parse means the other side has been taken over.
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final

from edged.sandbox.backend import Backend


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
    LOAD = 2  # pool: a program; its index names it in this worker
    LOADED = 3  # worker: serving
    REFUSED = 4  # worker: not this program; body is JSON, one object a refusal
    RUN = 5  # pool: one call
    RESULT = 6  # worker: its answer
    USE = 7  # pool: run a program that was loaded before; answered with LOADED


class FrameMalformed(Exception):
    """The bytes are no frame of ours."""


HEADER: Final = struct.Struct("<IBI")  # bytes of the body, kind, index of the call or program
RUN: Final = struct.Struct("<QQ")  # limit in ns; caller's deadline, monotonic clock in ns, or 0
RESULT: Final = struct.Struct("<BBHQd")  # outcome, flags, bytes of error type, run ns, confidence
LOAD: Final = struct.Struct("<QQQQBBB")  # see Load

# The two that every call needs are packed with their header in one go.
_RUN_FRAME: Final = struct.Struct("<IBIQQ")
_RESULT_FRAME: Final = struct.Struct("<IBIBBHQd")

HAS_CONFIDENCE: Final = 1
CUT_BY_CALLER: Final = 2
IS_LAST: Final = 4
"""The worker leaves after this answer; what was written ahead to it has not been started."""

MAX_FRAME_BYTES: Final = (
    64 * 1024 * 1024
)  # far above any configured limit; a lie must not make us buffer

MAX_ERROR_BYTES: Final = 4_000
"""Of an error's type and message together; results.py keeps each within 500 characters."""

RECEIVE_BYTES: Final = 64 * 1024
"""To ask of a socket at once: from 128 KB on, the allocator maps and unmaps memory each time, which
costs 12 µs."""

Frame = tuple[int, int, bytes]  # kind, index of the call, body; a class of its own costs 0.2 µs
Ending = tuple[Outcome, bytes, bytes, float]
"""How a call ended: outcome, error type, the output or the error message, confidence or NaN."""

_BACKENDS: Final = tuple(Backend)
_HEADER_BYTES: Final = HEADER.size
_read_header: Final = HEADER.unpack_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A program and what bounds it, for one worker."""

    source: bytes
    source_bytes_limit: int
    load_limit_ns: int
    memory_bytes: int  # for each of loading and one call, on top of what the worker used before
    result_bytes_limit: int
    returns_confidence: bool
    backend: Backend = Backend.PYTHON
    is_shared: bool = False  # more programs may follow


def frame(kind: Kind, index: int, body: bytes) -> bytes:
    """Return one whole frame."""
    return HEADER.pack(len(body), kind, index) + body


def pack_run(index: int, limit_ns: int, deadline_ns: int, input_json: bytes) -> bytes:
    size = RUN.size + len(input_json)
    return _RUN_FRAME.pack(size, Kind.RUN, index, limit_ns, deadline_ns) + input_json


def pack_result(index: int, ending: Ending, flags: int, run_ns: int) -> bytes:
    outcome, error_type, text, confidence = ending
    size = RESULT.size + len(error_type) + len(text)
    head = _RESULT_FRAME.pack(
        size, Kind.RESULT, index, outcome, flags, len(error_type), run_ns, confidence
    )
    return head + error_type + text


def pack_load(index: int, load: Load) -> bytes:
    limits = LOAD.pack(
        load.source_bytes_limit,
        load.load_limit_ns,
        load.memory_bytes,
        load.result_bytes_limit,
        load.returns_confidence,
        _BACKENDS.index(load.backend),
        load.is_shared,
    )
    return frame(Kind.LOAD, index, limits + load.source)


def unpack_load(body: bytes) -> Load:
    numbers = LOAD.unpack_from(body)
    source_limit, load_limit, memory, result_limit, returns_confidence, backend, is_shared = numbers
    return Load(
        source=body[LOAD.size :],
        source_bytes_limit=source_limit,
        load_limit_ns=load_limit,
        memory_bytes=memory,
        result_bytes_limit=result_limit,
        returns_confidence=bool(returns_confidence),
        backend=_BACKENDS[backend],
        is_shared=bool(is_shared),
    )


class Inbox:
    """Cuts what arrives on one stream into frames."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of a frame that is not whole yet
        self._missing = 0  # bytes, at least, until it is

    def take(self, received: bytes) -> list[Frame]:
        """Return the frames that are now whole.

        Raises FrameMalformed when a header announces more than MAX_FRAME_BYTES.
        """
        if self._parts:
            self._parts.append(received)
            self._missing -= len(received)
            if self._missing > 0:
                return []
            received = b"".join(self._parts)
            self._parts.clear()
        frames: list[Frame] = []
        at, end = 0, len(received)
        while (body_at := at + _HEADER_BYTES) <= end:
            length, kind, index = _read_header(received, at)
            if length > MAX_FRAME_BYTES:
                raise FrameMalformed
            after = body_at + length
            if after > end:
                body_at = after
                break
            frames.append((kind, index, received[body_at:after]))
            at = after
        if at < end:
            self._parts.append(received[at:])
            self._missing = body_at - end
        return frames
