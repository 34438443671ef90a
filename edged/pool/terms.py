"""On which terms one program is run: what its isolation and limits make of the pool's settings.

Pure values.
"""

import sys
from dataclasses import dataclass

from edged.pool.settings import Isolation, PoolSettings
from edged.pool.values import ProgramSource
from edged.sandbox.frames import Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one program's isolation and limits make of the pool's settings.

    has_overlap: a worker that has served its share stays until its successor has loaded, however
    long there is no room for one.
    """

    most_waiting: int
    most_waiting_bytes: int
    most_calls: int
    ahead_calls: int
    recycle_after_calls: int
    has_overlap: bool
    least_workers: int
    is_shared: bool
    warm_inputs: tuple[bytes, ...]

    @classmethod
    def of(cls, program: ProgramSource, settings: PoolSettings) -> "Terms":
        """shared: workers come and go, so none is kept or warmed for one version.

        per_request: every worker is kept ready, serves one call and makes room for the next.
        """
        isolation = program.placement.isolation or settings.isolation
        is_fresh = isolation is Isolation.PER_REQUEST
        is_shared = isolation is Isolation.SHARED
        least = settings.workers_per_version if is_fresh else settings.workers_min
        return cls(
            most_waiting=settings.queue_calls,
            most_waiting_bytes=settings.queue_bytes,
            most_calls=program.placement.calls_limit or sys.maxsize,
            ahead_calls=1 if is_fresh else settings.ahead_calls,
            recycle_after_calls=1 if is_fresh else settings.recycle_after_calls,
            has_overlap=not is_fresh and not is_shared,
            least_workers=0 if is_shared else least,
            is_shared=is_shared,
            warm_inputs=() if is_fresh or is_shared else program.warm_inputs,
        )


def order_of(program: ProgramSource, settings: PoolSettings, *, is_shared: bool) -> Load:
    """Return what a worker must be told to serve this program."""
    return Load(
        source=program.source.encode("utf-8", "surrogatepass"),
        source_bytes_limit=program.source_bytes_limit,
        load_limit_ns=int(settings.load_time_limit_ms * 1e6),
        memory_bytes=settings.memory_limit_mb << 20,
        result_bytes_limit=settings.result_bytes,
        returns_confidence=program.returns_confidence,
        backend=program.placement.backend,
        is_shared=is_shared,
    )
