"""Decide what a worker's end means for the calls it held.

Pure functions over values.
"""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edged.pool.values import Call, Result, failed
from edged.sandbox.exits import EXIT_DONE, EXIT_FULL, EXIT_MEMORY, EXIT_TOO_WEAK
from edged.sandbox.frames import Outcome
from edged.sandbox.page import Running
from edged.sandbox.refusals import Refusal

_LEAST_RETRY_MS: Final = 10
_MOST_RETRY_MS: Final = 5_000


class Cause(Enum):
    """Why a worker ended."""

    LEFT = "left"  # by our wish, or after its last answer
    DEADLINE = "deadline"  # we killed it
    VIOLATION = "violation"
    CRASHED = "crashed"
    EXITED = "exited"
    MEMORY = "memory"
    TOO_WEAK = "too_weak"
    FULL = "full"  # a shared one that has no room for another program
    LOST = "lost"  # killed by somebody else, or with its zygote


_CRASHES: Final = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
)
_CAUSES_BY_EXIT: Final = {
    EXIT_DONE: Cause.LEFT,
    EXIT_TOO_WEAK: Cause.TOO_WEAK,
    EXIT_MEMORY: Cause.MEMORY,
    EXIT_FULL: Cause.FULL,
}

_CHARGES: Final = {
    Cause.LEFT: (Outcome.ERROR, "worker_exited", "the program ended its process"),
    Cause.DEADLINE: (Outcome.TIMEOUT, "deadline", "the program ran out of time"),
    Cause.VIOLATION: (Outcome.VIOLATION, "violation", "the program made a forbidden system call"),
    Cause.CRASHED: (Outcome.ERROR, "worker_crashed", "the program crashed its process"),
    Cause.EXITED: (Outcome.ERROR, "worker_exited", "the program ended its process"),
    Cause.MEMORY: (Outcome.MEMORY, "memory", "the program ran out of memory"),
}
WORKER_LOST: Final = failed(
    Outcome.ERROR, "worker_lost", "the worker was killed from outside twice, running this call"
)


def cause_of(status: int) -> Cause:
    """status: an exit code, or minus the signal that killed."""
    if status >= 0:
        return _CAUSES_BY_EXIT.get(status, Cause.EXITED)
    if -status == signal.SIGSYS:
        return Cause.VIOLATION
    return Cause.CRASHED if -status in _CRASHES else Cause.LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """answered: with these results. again: in order, ahead of everything that waits."""

    answered: Sequence[tuple[Call, Result]]
    again: Sequence[Call]


def settle(held: Sequence[Call], running: Running, cause: Cause, now_ns: int) -> Settlement:
    """Charge the call that ran; give the others back.

    held: written to the worker and not answered, in order. running: the worker's shared page.
    """
    charged = _find_charged(held, running, cause)
    if charged is None:
        return Settlement(answered=(), again=held)
    others = [call for call in held if call is not charged]
    was_running = running.since_ns > 0
    if was_running and cause is not Cause.LOST:
        result = _charge(charged, running, cause, now_ns)
        return Settlement(answered=[(charged, result)], again=others)
    if charged.was_lost:
        return Settlement(answered=[(charged, WORKER_LOST)], again=others)
    charged.was_lost = True
    return Settlement(answered=(), again=held)


def _find_charged(held: Sequence[Call], running: Running, cause: Cause) -> Call | None:
    if running.since_ns:
        for call in held:
            if call.index == running.call_index:
                return call
    # The page names nobody, yet we had to kill: a forged page, or a worker that stands still.
    # The head of the queue is the call that has kept us waiting.
    return held[0] if held and cause in (Cause.DEADLINE, Cause.VIOLATION) else None


def _charge(call: Call, running: Running, cause: Cause, now_ns: int) -> Result:
    outcome, error_type, message = _CHARGES.get(cause, _CHARGES[Cause.EXITED])
    return failed(
        outcome,
        error_type,
        message,
        run_ns=max(0, now_ns - running.since_ns),
        cut_by_caller=cause is Cause.DEADLINE and call.is_cut_by_caller(running.since_ns),
    )


def typical_after(typical_ns: int, took_ns: int, calls: int = 1) -> int:
    """Return the typical run time after some more calls; 0 means none was measured yet.

    took_ns: of all of them together. An average over about eight calls. Calls that were merely
    interrupted by another process count for eight times the typical at most, or a busy machine
    would look like a slow program; a program that has really become slow is noticed within eight.
    """
    mean_ns = took_ns // calls
    if typical_ns == 0:
        return max(1, mean_ns)
    change_ns = min(mean_ns, 8 * typical_ns) - typical_ns
    return max(1, typical_ns + change_ns * min(calls, 8) // 8)


def calls_ahead(run_ns: int, *, ahead_ns: int, most: int) -> int:
    """Return how many calls a worker may hold. run_ns: a typical call; 0 when none was measured."""
    if run_ns == 0:
        return 1
    return max(1, min(most, 1 + ahead_ns // run_ns))


def retry_after_ms(waiting: int, run_ns: int, workers: int) -> int:
    """Return when to come back: what waits now will have been run. run_ns: of a typical call."""
    work_ns = waiting * run_ns // max(1, workers)
    return min(max(work_ns // 1_000_000, _LEAST_RETRY_MS), _MOST_RETRY_MS)


_REFUSALS: Final = {
    Cause.DEADLINE: "a program that takes too long to load",
    Cause.MEMORY: "a program that takes too much memory to load",
    Cause.VIOLATION: "a program that makes a forbidden system call while it loads",
    Cause.CRASHED: "a program that crashes its process while it loads",
    Cause.EXITED: "a program that ends its process while it loads",
    Cause.LEFT: "a program that ends its process while it loads",
}


def refusal_of(cause: Cause) -> Refusal | None:
    """Return why a program whose worker ended while loading is refused; None: not its fault."""
    what = _REFUSALS.get(cause)
    if what is None:
        return None
    return Refusal(line=1, column=1, what=what, instead="move work from the top level into run()")
