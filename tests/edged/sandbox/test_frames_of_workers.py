"""Frames on the stream between a pool and its worker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sandbox.backend import Backend
from edged.sandbox.frames import (
    HAS_CONFIDENCE,
    HEADER,
    MAX_FRAME_BYTES,
    RESULT,
    RUN,
    FrameMalformed,
    Inbox,
    Kind,
    Load,
    Outcome,
    frame,
    pack_load,
    pack_result,
    pack_run,
    unpack_load,
)

BODIES = st.lists(st.binary(max_size=200), max_size=8)


@given(bodies=BODIES, cuts=st.lists(st.integers(min_value=0, max_value=2000), max_size=5))
def test_frames_survive_any_cuts_of_the_stream(bodies, cuts):
    stream = b"".join(frame(Kind.RUN, index, body) for index, body in enumerate(bodies))
    ends = [*sorted(cuts), len(stream)]
    inbox = Inbox()

    arrived = [
        taken
        for begin, end in zip([0, *ends], ends, strict=False)
        for taken in inbox.take(stream[begin:end])
    ]

    assert arrived == [(Kind.RUN, index, body) for index, body in enumerate(bodies)]


def test_a_header_that_announces_too_much_is_malformed():
    header = HEADER.pack(MAX_FRAME_BYTES + 1, Kind.RESULT, 0)

    with pytest.raises(FrameMalformed):
        Inbox().take(header)


def test_a_call_is_read_as_it_was_written():
    ((kind, index, body),) = Inbox().take(pack_run(7, 1_000, 2_000, b'"x"'))

    assert (kind, index) == (Kind.RUN, 7)
    assert RUN.unpack_from(body) == (1_000, 2_000)
    assert body[RUN.size :] == b'"x"'


def test_an_answer_is_read_as_it_was_written():
    ending = (Outcome.ERROR, b"ValueError", b"why", 0.5)

    ((kind, index, body),) = Inbox().take(pack_result(7, ending, HAS_CONFIDENCE, 3_000))

    assert (kind, index) == (Kind.RESULT, 7)
    assert RESULT.unpack_from(body) == (Outcome.ERROR, HAS_CONFIDENCE, 10, 3_000, 0.5)
    assert body[RESULT.size :] == b"ValueErrorwhy"


def test_a_load_order_is_read_as_it_was_written():
    order = Load(
        source="def run(i): return 'é'".encode(),
        source_bytes_limit=65_536,
        load_limit_ns=5_000_000_000,
        memory_bytes=128 << 20,
        result_bytes_limit=1 << 20,
        returns_confidence=True,
        backend=Backend.MONTY,
        is_shared=True,
    )

    ((kind, index, body),) = Inbox().take(pack_load(3, order))

    assert (kind, index) == (Kind.LOAD, 3)
    assert unpack_load(body) == order


def test_outcomes_have_the_numbers_of_the_wire():
    names = {outcome.name: int(outcome) for outcome in Outcome}

    assert names == {"SUCCESS": 1, "ERROR": 2, "TIMEOUT": 3, "MEMORY": 4, "VIOLATION": 5}
