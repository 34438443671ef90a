"""One call of a program, from the bytes of its input to the bytes of its answer.

Runs in: a worker. Never: lets anything the program raises or returns out, other than as an answer.

Reading the input, running, and turning the result or the error into bytes all happen under the same
deadline and memory limit: each of them can be made slow or large by the program or its input.
"""

import json
import math
import time
from typing import Final, NamedTuple

from edged.sandbox.deadline import DeadlinePassed, SoftDeadline
from edged.sandbox.frames import (
    CUT_BY_CALLER,
    HAS_CONFIDENCE,
    IS_LAST,
    RESULT,
    RUN,
    Frame,
    Kind,
    Outcome,
    frame,
)
from edged.sandbox.loader import Program
from edged.sandbox.page import SharedPage
from edged.sandbox.results import describe_error, encode, split_confidence

_NO_CONFIDENCE: Final = math.nan
_LAST_OUTCOMES: Final = (Outcome.TIMEOUT, Outcome.MEMORY)
_read_json: Final = json.JSONDecoder().decode  # json.loads looks for the encoding first: 1.5 µs


class _Ending(NamedTuple):
    """How the program's part ended; `text` is the output, or the error message."""

    outcome: Outcome
    error_type: str = ""
    text: bytes = b""
    confidence: float = _NO_CONFIDENCE


class Answer(NamedTuple):
    """frame: ready to send. is_last: this process may not serve another call."""

    frame: bytes
    end_ns: int
    is_last: bool


_TIMED_OUT: Final = _Ending(Outcome.TIMEOUT, "deadline", b"the program ran out of time")
_OUT_OF_MEMORY: Final = _Ending(Outcome.MEMORY, "memory", b"the program ran out of memory")
_TOO_LATE: Final = _Ending(Outcome.TIMEOUT, "deadline", b"the caller's deadline had passed")


class CallRunner:
    """Runs the calls of one loaded program."""

    def __init__(
        self,
        program: Program,
        *,
        page: SharedPage,
        deadline: SoftDeadline,
        result_bytes_limit: int,
        returns_confidence: bool,
    ) -> None:
        self._program = program
        self._page = page
        self._deadline = deadline
        self._result_bytes_limit = result_bytes_limit
        self._returns_confidence = returns_confidence

    def run(self, call: Frame) -> Answer:
        limit_ns, caller_ns = RUN.unpack_from(call.body)
        start_ns = time.monotonic_ns()
        is_cut = 0 < caller_ns < start_ns + limit_ns
        if is_cut:
            limit_ns = caller_ns - start_ns
            if limit_ns <= 0:
                return _answer(call.call_index, _TOO_LATE, 0, start_ns, flags=CUT_BY_CALLER)
        self._page.begin(call.call_index, start_ns)
        ending = self._bounded(call.body, limit_ns)
        end_ns = time.monotonic_ns()
        self._page.end(call.call_index)
        flags = IS_LAST if ending.outcome in _LAST_OUTCOMES else 0
        if is_cut and ending.outcome is Outcome.TIMEOUT:
            flags |= CUT_BY_CALLER
        return _answer(call.call_index, ending, end_ns - start_ns, end_ns, flags=flags)

    def _bounded(self, body: bytes, limit_ns: int) -> _Ending:
        deadline = self._deadline
        try:
            try:
                deadline.arm(limit_ns)
                ending = self._execute(body)
            except DeadlinePassed:
                # The frames of the program die here, still under the timer: a finaliser that
                # loops is interrupted as well.
                ending = _TIMED_OUT
            except MemoryError:
                ending = _OUT_OF_MEMORY
            finally:
                deadline.disarm()
        except DeadlinePassed:
            deadline.disarm()
        return _TIMED_OUT if deadline.has_fired else ending

    def _execute(self, body: bytes) -> _Ending:
        try:
            value = self._program.run(_read_json(body[RUN.size :].decode()))
            confidence = _NO_CONFIDENCE
            if self._returns_confidence:
                value, confidence = split_confidence(value)
            text = encode(value, max_bytes=self._result_bytes_limit)
        except (DeadlinePassed, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a program raises is its outcome
            error_type, message = describe_error(error)
            return _Ending(Outcome.ERROR, error_type, message.encode("utf-8", "replace"))
        return _Ending(Outcome.SUCCESS, text=text, confidence=confidence)


def _answer(index: int, ending: _Ending, run_ns: int, end_ns: int, *, flags: int) -> Answer:
    error_type = ending.error_type.encode("utf-8", "replace")
    if ending.confidence == ending.confidence:  # not NaN
        flags |= HAS_CONFIDENCE
    head = RESULT.pack(ending.outcome, flags, len(error_type), run_ns, ending.confidence)
    return Answer(
        frame(Kind.RESULT, index, head + error_type + ending.text),
        end_ns,
        bool(flags & IS_LAST),
    )
