"""Keep a part of the agent at work through its own faults and the disk's, until it is ended.

Runs in: the agent, around each of its parts. Never: lets one part's fault reach another.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

from edged.decisions.backoff import full_jitter_s
from edged.errors import LogUnwritable

log = structlog.get_logger()
DISK_RETRY_S = 1.0
FAULT_BASE_S = 0.5
FAULT_CAP_S = 60.0
STEADY_S = 60.0  # a part that worked so long did not fail at its start
CANCEL_S = 1.0
Part = Callable[[], Coroutine[Any, Any, None]]


async def enduring(name: str, part: Part) -> None:
    """Run a part. While the disk refuses, it waits and goes on: the logs are still there.

    After a fault of its own it is tried again, later and later: the other parts go on meanwhile.
    """
    is_over, failures = False, 0
    while not is_over:
        began_s = time.monotonic()
        try:
            await part()
            is_over = True
        except* (OSError, LogUnwritable) as group:
            log.warning("part_waits_for_disk", part=name, reason=str(group.exceptions[0]))
            await asyncio.sleep(DISK_RETRY_S)
        except* Exception:
            log.exception("part_failed", part=name)
            failures = 0 if time.monotonic() - began_s >= STEADY_S else failures
            await asyncio.sleep(full_jitter_s(failures, base_s=FAULT_BASE_S, cap_s=FAULT_CAP_S))
            failures += 1


async def end(running: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until all have ended: one whose connection breaks in that moment misses the first."""
    while left := [task for task in running if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_S)
