"""Merge and read latency sketches (DDSketch), so that quantiles are never averaged.

A sketch comes from an edge: its size and range are checked before it is unfolded, because a few
bytes can ask for a very large table. Pure. Never: returns a quantile of nothing.
"""

import math
from collections.abc import Iterable, Sequence

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.pb import ddsketch_pb2
from ddsketch.pb.proto import DDSketchProto
from google.protobuf.message import DecodeError

MAX_BYTES = 64 * 1024
MAX_INDEX = 10_000  # 1 % accuracy puts a nanosecond to a year of milliseconds within 1,500
GAMMA = 1.01 / 0.99  # the mapping's base at 1 % accuracy, which every edge uses


class SketchInvalid(ValueError):
    """Not a sketch that we can merge."""


def merged(first: bytes, second: bytes) -> bytes:
    """Return the sketch of both; b"" is the sketch of nothing. Raises SketchInvalid."""
    if not second:
        return first
    sketch = _read(second)
    if not first:
        return second
    return _write(_sum([_read(first), sketch]))


def quantiles(sketches: Iterable[bytes], wanted: Sequence[float]) -> dict[str, float] | None:
    """Return {"p50": …} in milliseconds over all sketches; None when they are empty."""
    read = [_read(sketch) for sketch in sketches if sketch]
    if not read:
        return None
    total = _sum(read)
    values = {f"p{quantile * 100:g}": total.get_quantile_value(quantile) for quantile in wanted}
    return {name: round(value, 4) for name, value in values.items() if value is not None}


def _sum(sketches: Sequence[BaseDDSketch]) -> BaseDDSketch:
    total, *others = sketches
    for other in others:
        total.merge(other)
    return total


def _read(content: bytes) -> BaseDDSketch:
    if len(content) > MAX_BYTES:
        raise SketchInvalid(f"larger than {MAX_BYTES} bytes")
    message = ddsketch_pb2.DDSketch()
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise SketchInvalid("not a DDSketch") from error
    for store in (message.positiveValues, message.negativeValues):
        _check_store(store.contiguousBinIndexOffset, store.contiguousBinCounts)
    if not math.isclose(message.mapping.gamma, GAMMA, rel_tol=1e-9):
        raise SketchInvalid("of another accuracy than 1 %")
    # The library computes gamma anew at every reading and merges only where it is equal to the
    # last bit.
    message.mapping.gamma = GAMMA
    sketch: BaseDDSketch = DDSketchProto.from_proto(message)
    return sketch


def _check_store(offset: int, counts: Sequence[float]) -> None:
    if abs(offset) > MAX_INDEX or len(counts) > MAX_INDEX:
        raise SketchInvalid("out of range")
    if not all(math.isfinite(count) and count >= 0 for count in counts):
        raise SketchInvalid("a count is not a number")


def _write(sketch: BaseDDSketch) -> bytes:
    return bytes(DDSketchProto.to_proto(sketch).SerializeToString())
