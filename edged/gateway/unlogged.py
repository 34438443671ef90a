"""Tell the agent how many executions had no line, once the disk takes something again.

Runs in: the gateway. Talks to: state/unlogged. Never: says so in a caller's time.
"""

import asyncio
from contextlib import suppress
from typing import Final

from edged.datasets.unlogged import UnloggedNotes
from edged.gateway.counters import Counters

_INTERVAL_S: Final = 1.0


class UnloggedTeller:
    """Looks at the counter once a second. run: the gateway's, of this process alone."""

    def __init__(self, counters: Counters, notes: UnloggedNotes, run: str) -> None:
        self._counters = counters
        self._notes = notes
        self._run_id = run
        self._told = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            self.tell()

    def tell(self) -> None:
        count = self._counters.unlogged
        if count > self._told:
            with suppress(OSError):  # the disk is what is wrong; the next second perhaps
                self._notes.write(self._run_id, count)
                self._told = count
