"""Keep the jobs process running beside the server.

Runs in: the server. Talks to: the operating system. Never: shares memory, a descriptor or a key
with the child; it is told where the data is and finds the rest there.
"""

import asyncio
import os
import sys
import time

import structlog

from controlplane.config import JobsSettings, child_environment

log = structlog.get_logger()

BACKOFF_MIN_S = 0.2
BACKOFF_MAX_S = 10.0
STEADY_S = 30.0  # one that lived this long did not fail at its start
STOP_TIMEOUT_S = 2.0


class JobsProcess:
    """Starts the child, and starts it again when it ends."""

    name = "jobs"

    def __init__(self, settings: JobsSettings) -> None:
        self._settings = settings

    async def run(self) -> None:
        """Until cancelled; then the child is stopped before this returns."""
        backoff_s = BACKOFF_MIN_S
        while True:
            started_s = time.monotonic()
            code = await self._live()
            if time.monotonic() - started_s > STEADY_S:
                backoff_s = BACKOFF_MIN_S
            log.error("jobs_ended", code=code, restart_in_s=backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def _live(self) -> int:
        """Run one child to its end and return its exit code."""
        # Spawned by the main thread: the kernel ends the child when its parent *thread* ends.
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "controlplane.commands",
            "jobs",
            "--parent-pid",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            env=child_environment(),
        )
        log.info("jobs_started", pid=child.pid)
        try:
            await child.communicate(self._settings.render())
        finally:
            await _stop(child)
        return child.returncode or 0


async def _stop(child: asyncio.subprocess.Process) -> None:
    """End the child if it lives, by force when it does not leave."""
    if child.returncode is not None:
        return
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        child.kill()
        await child.wait()
