"""Plain integers that the hot path counts in; `exporter` shows them to Prometheus.

Runs in: the gateway. Never: does more per call than add.
"""

from bisect import bisect_left

from edged.datasets.records import Execution

BOUNDS_MS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0)


class Counters:
    """What happened since this gateway started."""

    def __init__(self) -> None:
        self.executions: dict[tuple[str, int, str, str], int] = {}  # task, version, arm, status
        self.latency_bins: dict[str, list[int]] = {}  # task → one bin a bound, and one above
        self.latency_sum_ms: dict[str, float] = {}
        self.refused: dict[str, int] = {}  # error code → requests refused
        self.deadlines_passed = 0
        self.log_failures = 0
        self.unlogged = 0  # executions answered without a line, under storage.on_full: serve

    def count(self, execution: Execution) -> None:
        task = execution.task
        key = (task, execution.version, execution.arm, execution.status)
        self.executions[key] = self.executions.get(key, 0) + 1
        bins = self.latency_bins.get(task)
        if bins is None:
            bins = self.latency_bins[task] = [0] * (len(BOUNDS_MS) + 1)
            self.latency_sum_ms[task] = 0.0
        bins[bisect_left(BOUNDS_MS, execution.latency_ms)] += 1
        self.latency_sum_ms[task] += execution.latency_ms

    def count_refusal(self, code: str) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1
