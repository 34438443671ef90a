"""One call of a program, from the bytes of its input to the bytes of its answer.

Runs in: a worker. Never: lets anything the program raises or returns out, other than as an answer.

Reading the input, running, and turning the result or the error into bytes all happen under the same
deadline and memory limit: each of them can be made slow or large by the program or its input.
"""

import gc
import json
import math
from time import monotonic_ns
from typing import Any, Final, Protocol

from edged.sandbox.deadline import DeadlinePassed, SoftDeadline
from edged.sandbox.frames import (
    CUT_BY_CALLER,
    HAS_CONFIDENCE,
    IS_LAST,
    RUN,
    Ending,
    Outcome,
    pack_result,
)
from edged.sandbox.page import SharedPage
from edged.sandbox.results import describe_error, encode, split_confidence

_NO_CONFIDENCE: Final = math.nan
# Looking them up in their enum costs 50 ns each time.
_SUCCESS: Final = Outcome.SUCCESS
_LAST_OUTCOMES: Final = (Outcome.TIMEOUT, Outcome.MEMORY)

_TIMED_OUT: Final[Ending] = (
    Outcome.TIMEOUT,
    b"deadline",
    b"the program ran out of time",
    _NO_CONFIDENCE,
)
_TOO_LATE: Final[Ending] = (
    Outcome.TIMEOUT,
    b"deadline",
    b"the caller's deadline had passed",
    _NO_CONFIDENCE,
)
_OUT_OF_MEMORY: Final[Ending] = (
    Outcome.MEMORY,
    b"memory",
    b"the program ran out of memory",
    _NO_CONFIDENCE,
)

Answer = tuple[bytes, int, bool]
"""The frame to send, when the call ended, whether this process may not serve another one."""


class Runnable(Protocol):
    """A loaded program."""

    leaves_generators: bool
    """Whether one that was not finished may run code of the program when it is collected."""

    def run(self, input_data: object) -> object:
        """Return its result; raises whatever it raises."""
        ...


_read_run: Final = RUN.unpack_from
_RUN_BYTES: Final = RUN.size
_decode: Final = json.JSONDecoder().decode
_scan: Final = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # what decode stands on


class CallRunner:
    """Runs the calls of one loaded program."""

    def __init__(
        self,
        program: Runnable,
        *,
        page: SharedPage,
        deadline: SoftDeadline,
        result_bytes_limit: int,
        returns_confidence: bool,
    ) -> None:
        self._run_program = program.run
        self._leaves_generators = program.leaves_generators
        self._page = page
        self._deadline = deadline
        self._result_bytes_limit = result_bytes_limit
        self._returns_confidence = returns_confidence
        self._success_flags = HAS_CONFIDENCE if returns_confidence else 0

    def run(self, index: int, body: bytes) -> Answer:
        """Run the call that a RUN frame's index and body describe."""
        limit_ns, caller_ns = _read_run(body)
        start_ns = monotonic_ns()
        due_ns = start_ns + limit_ns
        is_cut = 0 < caller_ns < due_ns
        if is_cut:
            due_ns = caller_ns
            if due_ns <= start_ns:
                return pack_result(index, _TOO_LATE, CUT_BY_CALLER, 0), start_ns, False
        self._page.begin(index, start_ns)
        ending = self._bounded(body, start_ns, due_ns)
        end_ns = monotonic_ns()
        self._page.end(index)
        flags = self._success_flags if ending[0] is _SUCCESS else _flags(ending, is_cut=is_cut)
        return pack_result(index, ending, flags, end_ns - start_ns), end_ns, flags & IS_LAST > 0

    def _bounded(self, body: bytes, start_ns: int, due_ns: int) -> Ending:
        deadline = self._deadline
        try:
            try:
                deadline.arm(start_ns, due_ns)
                ending = self._execute(body)
                if self._leaves_generators:
                    gc.collect()  # in a cycle, one would run on the account of a later call
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

    def _execute(self, body: bytes) -> Ending:
        try:
            value = self._run_program(_read_json(body[_RUN_BYTES:].decode()))
            confidence = _NO_CONFIDENCE
            if self._returns_confidence:
                value, confidence = split_confidence(value)
            return _SUCCESS, b"", encode(value, max_bytes=self._result_bytes_limit), confidence
        except (DeadlinePassed, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a program raises is its outcome
            error_type, message = describe_error(error)
            return (
                Outcome.ERROR,
                error_type.encode("utf-8", "replace"),
                message.encode("utf-8", "replace"),
                _NO_CONFIDENCE,
            )


def _flags(ending: Ending, *, is_cut: bool) -> int:
    """Return the flags of a call that did not succeed."""
    flags = IS_LAST if ending[0] in _LAST_OUTCOMES else 0
    return flags | CUT_BY_CALLER if is_cut and ending[0] is Outcome.TIMEOUT else flags


def _read_json(text: str) -> Any:
    """Return what `json.loads` returns, without its search for white space (0.5 µs)."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        return _decode(text)
    return value if end == len(text) else _decode(text)
