"""What the size limit took unread, counted for good in state/retention.json.

Written by the agent's retention; read by its telemetry and by people. Never: forgets a count.
"""

from collections import Counter
from contextlib import suppress
from typing import Any

import orjson

from edged.datasets.layout import Layout
from edged.datasets.retention import StoredFile
from edged.files import write_whole


class ForcedNotes:
    """Sums by task and kind of log."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.state / "retention.json"

    def add(self, file: StoredFile, lines: int) -> None:
        """Count a file that is about to go. lines: that nobody has read. Raises OSError."""
        document = self.read()
        sums = document.setdefault(file.task, {}).setdefault(file.kind, {})
        for name, count in (("files", 1), ("lines", lines), ("bytes", file.size_bytes)):
            sums[name] = sums.get(name, 0) + count
        sums["last_day"] = file.name.date
        write_whole(self._path, orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def read(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Raises OSError; a damaged file counts as none."""
        try:
            document: dict[str, dict[str, dict[str, Any]]] = orjson.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return document

    def lines(self) -> Counter[str]:
        """Return how many lines went, by kind of log; none while the file cannot be read."""
        lines: Counter[str] = Counter()
        with suppress(OSError):
            for kinds in self.read().values():
                lines.update({kind: sums["lines"] for kind, sums in kinds.items()})
        return lines
