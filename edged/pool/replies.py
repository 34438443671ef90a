"""Read what a worker says of a call, and tell what none of ours would say.

A program that has broken out of its language writes what it likes. It may answer its own task's
calls wrongly; what it must not do is reach further by its answer: into the log, where a line of its
own would be counted and sampled as another execution, into counts, or into everybody's memory.

Runs in: the process that owns the pool. Never: judges an output by its schema.
"""

from typing import Final

import orjson

from edged.pool.values import Result, failed
from edged.sandbox.frames import (
    CUT_BY_CALLER,
    HAS_CONFIDENCE,
    MAX_ERROR_BYTES,
    RESULT,
    FrameMalformed,
    Outcome,
)

_OUTCOMES: Final = {int(outcome): outcome for outcome in Outcome}
_SUCCESS: Final = Outcome.SUCCESS
_HEAD_BYTES: Final = RESULT.size
_NEWLINE: Final = ord("\n")  # `in` finds a number in a seventh of the time that bytes take it
_read_head: Final = RESULT.unpack_from
_NO_JSON: Final = failed(
    Outcome.VIOLATION, "violation", "the program answered past its harness, with what is no JSON"
)


def read_result(body: bytes, output_bytes_limit: int) -> tuple[Result, int, int]:
    """Return the result, its flags and run time; raise FrameMalformed for what no worker sends."""
    if len(body) < _HEAD_BYTES:
        raise FrameMalformed
    number, flags, type_bytes, run_ns, confidence = _read_head(body)
    if number != _SUCCESS:
        return _failure(body, number, flags, type_bytes, run_ns), flags, run_ns
    if not flags & HAS_CONFIDENCE:
        confidence = None
    elif not 0.0 <= confidence <= 1.0:
        raise FrameMalformed
    output = body[_HEAD_BYTES:]
    if len(output) > output_bytes_limit or _NEWLINE in output:
        raise FrameMalformed
    return Result(_SUCCESS, output, confidence, "", "", run_ns / 1e6, False), flags, run_ns  # noqa: FBT003


def vetted(result: Result) -> Result:
    """Return it, or a violation where its output is no JSON, for those who read on unasked.

    It is not part of `read_result` because the gateway parses every output itself.
    """
    if result.outcome is not _SUCCESS:
        return result
    try:
        orjson.loads(result.output_json)
    except orjson.JSONDecodeError:
        return _NO_JSON
    return result


def _failure(body: bytes, number: int, flags: int, type_bytes: int, run_ns: int) -> Result:
    outcome = _OUTCOMES.get(number)
    if outcome is None or len(body) > _HEAD_BYTES + MAX_ERROR_BYTES:
        raise FrameMalformed
    message_at = _HEAD_BYTES + type_bytes
    return failed(
        outcome,
        body[_HEAD_BYTES:message_at].decode(errors="replace"),
        body[message_at:].decode(errors="replace"),
        run_ns=run_ns,
        cut_by_caller=bool(flags & CUT_BY_CALLER),
    )
