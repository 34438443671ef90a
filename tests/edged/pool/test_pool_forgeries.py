"""What a program that broke out of its language writes to the pool in its worker's name."""

import json

import pytest

from edged.pool.pool import Outcome, ProgramSource
from edged.sandbox.frames import HAS_CONFIDENCE, Kind, frame
from edged.sandbox.frames import RESULT as HEAD
from edged.sandbox.refusals import ProgramRefused

WRITE = """
import os
def say(frame):
    for fd in range(3, 64):
        try: os.write(fd, frame)
        except OSError: pass
"""
FORGER = ProgramSource(
    source=WRITE
    + """
def run(input_data):
    if input_data != "echo":
        say(bytes.fromhex(input_data))
        while True: pass
    return input_data
"""
)
TEXT_CHARS = 5_000


def result(
    text: bytes, *, outcome: Outcome = Outcome.SUCCESS, flags: int = 0, confidence: float = 0.0
) -> bytes:
    return HEAD.pack(outcome, flags, 0, 1_000, confidence) + text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(result(b'[1,\n{"execution_id":"forged"}]'), id="a line of its own"),
        pytest.param(result(b'"' + b"x" * (1 << 20) + b'"'), id="more than the limit"),
        pytest.param(result(b"1", flags=HAS_CONFIDENCE, confidence=-7.0), id="no probability"),
        pytest.param(
            result(b"1", flags=HAS_CONFIDENCE, confidence=float("nan")), id="not a number"
        ),
        pytest.param(result(b"x" * TEXT_CHARS, outcome=Outcome.ERROR), id="a long error"),
        pytest.param(result(b"1", outcome=9), id="no outcome"),
    ],
)
async def test_an_answer_that_no_worker_gives_ends_its_worker(escaped_pool, body):
    await escaped_pool.load("forger", FORGER)

    forged = frame(Kind.RESULT, 0, body)
    answer = await escaped_pool.call("forger", json.dumps(forged.hex()).encode())
    after = await escaped_pool.call("forger", b'"echo"')

    assert (answer.outcome, answer.output_json) == (Outcome.VIOLATION, b"")
    assert after.output_json == b'"echo"'


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(b"{oops", id="broken"),
        pytest.param(b"", id="empty"),
        pytest.param(b"NaN", id="of Python's own"),
        pytest.param(b'"\xff"', id="no text"),
        pytest.param(b"[" * 5_000 + b"]" * 5_000, id="nested"),
    ],
)
async def test_an_output_that_is_no_json_is_no_success(escaped_pool, output):
    await escaped_pool.load("forger", FORGER)

    forged = frame(Kind.RESULT, 0, result(output))
    answer = await escaped_pool.call("forger", json.dumps(forged.hex()).encode())

    assert (answer.outcome, answer.output_json) == (Outcome.VIOLATION, b"")


@pytest.mark.parametrize(
    "refusals",
    [
        pytest.param(b"[" * 100_000, id="nested"),
        pytest.param(b'[{"line":1e999,"column":1,"what":"","instead":""}]', id="no finite line"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[[]]", id="no objects"),
    ],
)
async def test_a_refusal_that_no_worker_gives_ends_its_worker(escaped_pool, refusals):
    forged = frame(Kind.REFUSED, 0, refusals)
    source = f"{WRITE}\nsay(bytes.fromhex({forged.hex()!r}))\nwhile True: pass\n"

    with pytest.raises(ProgramRefused, match="forbidden system call while it loads"):
        await escaped_pool.load("forger", ProgramSource(source=source, source_bytes_limit=1 << 20))
