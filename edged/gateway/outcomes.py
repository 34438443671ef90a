"""Truths that callers report later: appended before the answer, matched by the agent.

Runs in: the gateway. Never: looks the execution up; it may be days old.
"""

from collections.abc import Callable
from typing import Any

import orjson

from edged.datasets.commits import Commits
from edged.datasets.records import Timestamps
from edged.gateway.catalog import Catalog


class OutcomeLog:
    """Appends to datasets/<task>/outcomes/<date>.jsonl."""

    def __init__(self, catalog: Catalog, log: Commits, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._log = log
        self._clock = clock
        self._timestamps = Timestamps()

    async def append(self, task: str, execution_id: str, truth: Any) -> None:
        """Store one truth. Raises TaskUnknown, TaskUnnamed, LogUnwritable."""
        name = self._catalog.find(task).name
        line = {
            "execution_id": execution_id,
            "truth": truth,
            "timestamp": self._timestamps.text(self._clock()),
            "task": name,
        }
        await self._log.write(name, [orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)])
