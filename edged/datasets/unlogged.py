"""How many executions were answered without a line, told from the gateway to the agent.

A file of its own each time in state/unlogged: the gateway writes them, the agent removes what it
has counted, and neither waits for the other. Never: holds anything but a number.
"""

import time
from collections.abc import Collection
from pathlib import Path

from edged.datasets.layout import Layout
from edged.files import write_whole


class UnloggedNotes:
    """One folder, with one process that writes and one that reads."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.state / "unlogged"

    def write(self, count: int) -> None:
        """Raises OSError: then it is not told yet."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / f"{time.time_ns()}", b"%d\n" % count)

    def read(self, known: Collection[Path]) -> dict[Path, int]:
        """Return what is new, by file."""
        new = (path for path in self._folder.glob("[0-9]*") if path not in known)
        return {path: int(path.read_bytes()) for path in new}
