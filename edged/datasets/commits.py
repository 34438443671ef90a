"""Say when what was appended is as safe as `storage.fsync` promises: group commit.

Runs in: the gateway, on its event loop; fsync runs in a thread. Never: blocks the loop on a disk's
barrier, or says that a line is safe before it is.

    never      done at once; the kernel writes within half a minute, a power loss takes that much
    interval   done at once; an fsync every interval, a power loss takes that much
    always     done after an fsync that began after the append; all that arrives while one runs
               shares the next

A kill of the process loses nothing under any of them.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from edged.datasets.writer import LogWriter
from edged.errors import LogUnwritable

Fsync = Literal["never", "interval", "always"]
Done = Callable[[LogUnwritable | None], None]


class Commits:
    """Appends to one kind of log and calls back; `run` syncs. The writer is to be `is_synced`."""

    def __init__(self, writer: LogWriter, fsync: Fsync, interval_s: float) -> None:
        self._writer = writer
        self._is_waited_for = fsync == "always"
        self._is_ever = fsync != "never"
        self._interval_s = interval_s
        self._waiting: list[Done] = []
        self._news = asyncio.Event()

    def append(self, task: str, lines: list[bytes], done: Done) -> None:
        """Write whole lines; `done` gets None when they are safe, or why they may not be there."""
        try:
            self._writer.append(task, lines)
        except LogUnwritable as error:
            done(error)
            return
        if not self._is_waited_for:
            done(None)
            return
        self._waiting.append(done)
        self._news.set()

    async def write(self, task: str, lines: list[bytes]) -> None:
        """Write whole lines and return when they are safe. Raises LogUnwritable."""
        result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.append(task, lines, lambda error: _settle(result, error))
        await result

    async def run(self) -> None:
        """Sync as the policy says, until cancelled; then once more."""
        if not self._is_ever:
            return
        try:
            while True:
                await self._due()
                await self._sync()
        finally:
            self._answer(_sync_all(self._writer.unsynced()))

    async def _due(self) -> None:
        if self._is_waited_for:
            await self._news.wait()
        else:
            await asyncio.sleep(self._interval_s)

    async def _sync(self) -> None:
        self._news.clear()
        waiting, self._waiting = self._waiting, []
        descriptors = self._writer.unsynced()
        error: LogUnwritable | None = LogUnwritable(reason="the gateway stopped", path="the log")
        try:
            error = await asyncio.to_thread(_sync_all, descriptors)
        finally:
            for done in waiting:
                done(error)

    def _answer(self, error: LogUnwritable | None) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(error)


def _sync_all(descriptors: list[int]) -> LogUnwritable | None:
    """Sync and close descriptors; returns what kept one of them from it."""
    refusal = None
    for descriptor in descriptors:
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            refusal = LogUnwritable(reason=f"fsync: {error.strerror}", path="the log's disk")
        finally:
            with suppress(OSError):
                os.close(descriptor)
    return refusal


def _settle(result: "asyncio.Future[None]", error: LogUnwritable | None) -> None:
    if result.done():
        return
    if error is None:
        result.set_result(None)
    else:
        result.set_exception(error)
