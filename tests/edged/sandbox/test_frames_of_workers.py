"""Frames on the stream between a pool and its worker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sandbox.frames import (
    HEADER,
    MAX_FRAME_BYTES,
    FrameMalformed,
    Kind,
    Load,
    Outcome,
    frame,
    pack_load,
    split,
    unpack_load,
)

BODIES = st.lists(st.binary(max_size=200), max_size=8)


@given(bodies=BODIES, cut=st.integers(min_value=0, max_value=2000))
def test_frames_survive_any_cut_of_the_stream(bodies, cut):
    stream = b"".join(frame(Kind.RUN, index, body) for index, body in enumerate(bodies))

    first, rest = split(stream[:cut])
    second, left = split(rest + stream[cut:])

    assert [arrived.body for arrived in [*first, *second]] == bodies
    assert [arrived.call_index for arrived in [*first, *second]] == list(range(len(bodies)))
    assert left == b""


def test_a_header_that_announces_too_much_is_malformed():
    header = HEADER.pack(MAX_FRAME_BYTES + 1, Kind.RESULT, 0)

    with pytest.raises(FrameMalformed):
        split(header)


def test_a_load_order_is_read_as_it_was_written():
    order = Load(
        source="def run(i): return 'é'".encode(),
        source_bytes_limit=65_536,
        load_limit_ns=5_000_000_000,
        memory_bytes=128 << 20,
        result_bytes_limit=1 << 20,
        returns_confidence=True,
    )

    (arrived,), _ = split(pack_load(order))

    assert arrived.kind == Kind.LOAD
    assert unpack_load(arrived.body) == order


def test_outcomes_have_the_numbers_of_the_wire():
    names = {outcome.name: int(outcome) for outcome in Outcome}

    assert names == {"SUCCESS": 1, "ERROR": 2, "TIMEOUT": 3, "MEMORY": 4, "VIOLATION": 5}
