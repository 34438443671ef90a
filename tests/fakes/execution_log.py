"""Execution logs as a gateway writes them: real files, made-up calls."""

import json
import random
from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import UUID

from edged.datasets.layout import Layout
from edged.datasets.records import Execution, Timestamps, render
from edged.datasets.writer import LogWriter
from tests.fakes.clock import FakeClock


class ExecutionLog:
    """Appends executions, reported truths, and tells what came of them."""

    def __init__(
        self, layout: Layout, clock: FakeClock, task: str = "spam", *, seed: int = 7
    ) -> None:
        self.layout = layout
        self.task = task
        self._clock = clock
        kinds = ("executions", "outcomes")
        self._writers = {kind: LogWriter(layout, kind, clock) for kind in kinds}
        self._random = random.Random(seed)
        self._count = count()

    def append(self, number: int = 1, *, ids: Sequence[str] = (), **fields: Any) -> list[str]:
        """Append calls of {"text": "0"}, {"text": "1"}, …; returns their ids.

        ids: of calls that began earlier; otherwise they begin now.
        """
        values = {"version": 2, "arm": "stable", "output_json": b'"ham"', **fields}
        now = Timestamps().text(self._clock())
        ids = list(ids) or [self.next_id() for _ in range(number)]
        lines = []
        for execution_id in ids:
            given = {"input_json": json.dumps({"text": str(next(self._count))}).encode(), **values}
            execution = Execution(execution_id=execution_id, task=self.task, **given)
            lines.append(render(execution, now))
        self._writers["executions"].append(self.task, lines)
        return ids

    def report(self, execution_id: str, truth: Any) -> None:
        line = {"execution_id": execution_id, "truth": truth, "timestamp": "", "task": self.task}
        self._writers["outcomes"].append(self.task, [json.dumps(line).encode() + b"\n"])

    def write_raw(self, line: bytes) -> None:
        self._writers["executions"].append(self.task, [line])

    def validations(self) -> list[dict[str, Any]]:
        """Return every line of the validation log."""
        return [
            json.loads(line)
            for path in sorted(self.layout.log(self.task, "validations").glob("sampled-*.jsonl"))
            for line in path.read_bytes().split(b"\n")[:-1]
        ]

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def next_id(self) -> str:
        """Return a UUIDv7 of the clock's time. Source: RFC 9562, 5.7."""
        low = self._random.getrandbits(74)
        high_bits, low_bits = low >> 62, low & (2**62 - 1)
        at_ms = int(self._clock() * 1000)
        return str(UUID(int=at_ms << 80 | 7 << 76 | high_bits << 64 | 2 << 62 | low_bits))
