"""How many workers, how long, how much: everything about a pool that can be argued.

Pure. Never: reads the environment; `edged.config` assembles.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from edged.pool.barriers import KNOWN_BARRIERS, MINIMUM

_MAY_BE_ZERO: Final = ("spare_workers", "workers_min")


class Isolation(StrEnum):
    """How far the executions of a program are kept apart."""

    SHARED = "shared"  # a worker serves several versions, one at a time
    PER_PROGRAM = "per_program"  # a worker serves one version, call after call
    PER_REQUEST = "per_request"  # a worker serves one call


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Working defaults for an edge of two or more cores."""

    workers_per_version: int = 4
    """At most; a version starts with one and gets more while calls wait longer than they should,
    and a second one in reserve once it has lost a worker."""
    workers_min: int = 0
    """Of one version, however quiet it is; the first is there before it serves."""
    isolation: Isolation = Isolation.PER_PROGRAM
    """Of programs that do not name their own."""
    max_workers: int = 64
    """Over all versions; 4.4 MB each when idle."""
    spare_workers: int = 1
    """Locked but blank: a killed worker is replaced in the time of a load."""
    queue_calls: int = 1024
    """A version's, beyond those handed to workers. Full: refuse at once."""
    queue_bytes: int = 64 * 1024 * 1024
    """Of their inputs together; the one that goes beyond is still taken."""
    time_limit_ms: float = 1000.0
    """Of one call; a caller may ask for less."""
    kill_grace_ms: float = 4.0
    """From the soft deadline to SIGKILL: time for a `finally`, and still within 10 ms."""
    memory_limit_mb: int = 128
    """For one call, on top of what the locked worker uses after loading; for loading as well.
    Address space, so that it is enforced at the allocation; ordinary programs stay under 10 MB."""
    result_bytes: int = 1_048_576
    """Of one output as JSON: what a gRPC message of 4 MB holds with room."""
    load_time_limit_ms: float = 5000.0
    """To compile and run the module body once; 64 KB of source take some 100 ms."""
    start_timeout_s: float = 10.0
    """For the zygote and its first worker, half a second on an idle machine, then each other."""
    ahead_ms: float = 1.0
    """Work handed to a worker beyond the call it runs: enough to batch, little to wait for."""
    ahead_calls: int = 64
    """The same in calls: what is lost and run again when a worker dies."""
    grow_after_ms: float = 10.0
    """A call that waited this long brings its version another worker."""
    shrink_after_s: float = 60.0
    """A version that was quiet this long keeps one worker."""
    sleep_after_s: float = 900.0
    """And none after this long; the next call waits for the spare to load it, some 10 ms."""
    recycle_after_calls: int = 100_000
    """Then a worker is replaced: whatever leaks or fragments starts afresh, at 40 ns a call."""
    quarantine_violations: int = 3
    """So many forbidden system calls within the window, and a version is not run any more. Not the
    first: a rare path of an ordinary program may need a call that the filter lacks."""
    quarantine_crashes: int = 10
    """The same for crashes; each costs a respawn of 5 ms and a load."""
    quarantine_window_s: float = 60.0
    """Of both counts."""
    shared_programs: int = 16
    """Programs that one shared worker holds; asked for another one, it is replaced."""
    has_monty: bool = False
    """Programs may ask for backend monty; every worker is born with it: 20 MB, shared by all."""
    require: tuple[str, ...] = MINIMUM
    """Barriers without which the pool refuses to start."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if field.name in _MAY_BE_ZERO and value < 0:
                raise ValueError(f"{field.name} must not be negative, not {value}")
            if field.name not in _MAY_BE_ZERO and value <= 0:
                raise ValueError(f"{field.name} must be above 0, not {value}")
        if self.workers_min > self.workers_per_version:
            raise ValueError("workers_min must not exceed workers_per_version")
        if self.workers_per_version > self.max_workers:
            raise ValueError("workers_per_version must not exceed max_workers")
        unknown = set(self.require) - KNOWN_BARRIERS
        if unknown:
            raise ValueError(f"require names unknown barriers: {', '.join(sorted(unknown))}")
