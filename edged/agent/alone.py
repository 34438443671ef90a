"""One agent a data_dir: the one before may still be sealing its last batch.

Runs in: the agent, before it opens anything. Never: lets two count the same lines.

An agent whose supervisor was killed gets SIGTERM and stops in order, which takes a moment; a new
supervisor may have started another one by then. Both would go on from the same checkpoint.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from edged.datasets.layout import Layout

POLL_S: Final = 0.02


@asynccontextmanager
async def alone(layout: Layout, stop: asyncio.Event) -> AsyncIterator[bool]:
    """Hold the data_dir's agent lock, waiting for whoever has it. False: stopped meanwhile."""
    layout.state.mkdir(parents=True, exist_ok=True)
    path = layout.state / "agent.lock"
    # For reading: a file open for writing would keep its disk from being remounted.
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        is_held = _is_locked(descriptor)
        while not (is_held or stop.is_set()):
            await asyncio.sleep(POLL_S)
            is_held = _is_locked(descriptor)
        yield is_held
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
