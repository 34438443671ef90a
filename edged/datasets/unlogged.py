"""How many executions were answered without a line, told from the gateway to the agent.

A file in state/unlogged for each gateway run, with what that run comes to by now: the gateway
replaces its own, the agent remembers beside its positions how much of each it has told, and neither
waits for the other. Never: holds anything but a number.

Under `storage.fsync: always` a line whose fsync failed counts as not logged, although it may stand
in the log, and then be counted there as well.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from edged.datasets.layout import Layout
from edged.files import write_whole


def run_id() -> str:
    """Return a name for this process's run, by which others see whether it is over."""
    return f"{time.time_ns()}-{os.getpid()}"


class UnloggedNotes:
    """One folder, in which every run writes its own file and one process reads all."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.state / "unlogged"

    def write(self, run: str, count: int) -> None:
        """Note a run's count, of all its executions. Raises OSError: then it is not told yet."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / run, b"%d\n" % count)

    def read(self) -> dict[str, int]:
        """Return the counts by run."""
        counts = {}
        for path in self._folder.glob("[0-9]*"):
            with suppress(OSError, ValueError):
                counts[path.name] = int(path.read_bytes())
        return counts

    def forget_past(self, told: dict[str, int]) -> None:
        """Remove the files of runs that are over and told to the end, and their entries in `told`.

        told: by run, and on disk.
        """
        over = [run for run in told if not _is_running(run)]  # before the last look at its count
        counts = self.read()
        for run in over:
            path = self._folder / run
            if counts.get(run) == told[run]:
                with suppress(OSError):  # next time, perhaps
                    path.unlink()
            if not path.exists():
                del told[run]


def _is_running(run: str) -> bool:
    """Say whether a process of that id is there; one of another kind only delays the end."""
    return Path("/proc", run.rpartition("-")[2]).exists()
