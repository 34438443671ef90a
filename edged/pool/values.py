"""What goes in and out of a pool.

Pure values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from edged.pool.settings import Isolation
from edged.sandbox.backend import Backend
from edged.sandbox.frames import Outcome

_MOST_NS: Final = 2**63 - 1
"""Some 300 years; a frame has 64 bits for it."""

log = structlog.get_logger(__name__)


def ns_of(time_s: float) -> int:
    """Return it in the unit of the frames, and within their bounds however long somebody waits."""
    return int(min(max(time_s * 1e9, 0.0), _MOST_NS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How one program is run, where that differs from the others.

    isolation: None for the pool's default. calls_limit: most calls at a time, waiting and running;
    None for the pool's bound on waiting ones alone. backend: the interpreter.
    """

    isolation: Isolation | None = None
    calls_limit: int | None = None
    backend: Backend = Backend.PYTHON


DEFAULT_PLACEMENT: Final = Placement()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSource:
    """A program as its artifact holds it.

    returns_confidence: its result is {"output": …, "confidence": …}. warm_inputs: run first by
    each new worker, for nobody.
    """

    source: str
    returns_confidence: bool = False
    source_bytes_limit: int = 65_536
    warm_inputs: tuple[bytes, ...] = ()
    placement: Placement = DEFAULT_PLACEMENT


class Result(NamedTuple):
    """How one call fared. A tuple, since a frozen dataclass takes 0.9 µs to make, a tuple 0.3.

    output_json is empty unless the outcome is SUCCESS. run_ms counts from the call's own start in
    the worker. cut_by_caller: the caller's deadline ended it, not the program's limit. is_lost: the
    pool failed, not the program; only the pool itself says so.
    """

    outcome: Outcome
    output_json: bytes
    confidence: float | None
    error_type: str
    error_message: str
    run_ms: float
    cut_by_caller: bool
    is_lost: bool = False


@dataclass(slots=True, eq=False)
class Call:
    """One call on its way. Times on the monotonic clock, in ns."""

    input_json: bytes
    done: Callable[[Result], None]  # called exactly once
    limit_ns: int
    deadline_ns: int  # the caller's; 0 when there is none
    queued_ns: int
    index: int = -1  # within the worker that has it
    was_lost: bool = False  # it ran in a worker that vanished; it may run once more

    def answer(self, result: Result) -> None:
        try:
            self.done(result)
        except Exception:
            # One caller's mistake must not cost the others their answers.
            log.exception("done_failed")

    def abandon(self) -> None:
        """Have it answered as one whose deadline passed, unless a worker has had it."""
        if self.index < 0:
            self.deadline_ns = 1

    def ends_at_ns(self, start_ns: int) -> int:
        """Return when it must have ended, having started at `start_ns`."""
        limit_at_ns = start_ns + self.limit_ns
        return min(limit_at_ns, self.deadline_ns) if self.deadline_ns else limit_at_ns

    def is_cut_by_caller(self, start_ns: int) -> bool:
        return 0 < self.deadline_ns < start_ns + self.limit_ns


def failed(
    outcome: Outcome, error_type: str, message: str, *, run_ns: int = 0, cut_by_caller: bool = False
) -> Result:
    return Result(outcome, b"", None, error_type, message, run_ns / 1e6, cut_by_caller)


def lost(error_type: str, message: str) -> Result:
    return Result(Outcome.ERROR, b"", None, error_type, message, 0.0, False, is_lost=True)  # noqa: FBT003


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStats:
    workers: int
    queued: int
    running: int  # handed to workers
    executions: int
    kills: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """Counters since the pool was made; workers, queued and running as of now."""

    workers: int
    spares: int
    queued: int
    running: int
    executions: int
    kills: int  # by our SIGKILL
    respawns: int  # of workers that did not leave by our wish
    zygote_restarts: int
    by_key: dict[str, VersionStats]
