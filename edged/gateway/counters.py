"""Plain integers that the hot path counts in, and their export to Prometheus.

Runs in: the gateway. Never: does more per call than add.
"""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edged.datasets.records import Execution
from edged.pool.pool import Pool

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


class Exporter(Collector):
    """Reads the counters when someone asks for /metrics."""

    def __init__(self, counters: Counters, pool: Pool) -> None:
        self._counters = counters
        self._pool = pool
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield self._executions()
        yield self._latency()
        refused = CounterMetricFamily(
            "edged_requests_refused", "Requests refused, by error code", labels=["code"]
        )
        for code, count in self._counters.refused.items():
            refused.add_metric([code], count)
        yield refused
        yield CounterMetricFamily(
            "edged_deadlines_passed", "Calls whose deadline passed in a queue",
            value=self._counters.deadlines_passed,
        )  # fmt: skip
        yield CounterMetricFamily(
            "edged_log_failures", "Appends to the execution log that failed",
            value=self._counters.log_failures,
        )  # fmt: skip
        yield from self._pool_metrics()

    def _executions(self) -> Metric:
        family = CounterMetricFamily(
            "edged_executions", "Executions answered", labels=["task", "version", "arm", "status"]
        )
        for (task, version, arm, status), count in self._counters.executions.items():
            family.add_metric([task, str(version), arm, status], count)
        return family

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(
            "edged_execution_latency_seconds", "From receipt to the log", labels=["task"]
        )
        for task, bins in self._counters.latency_bins.items():
            buckets, total = [], 0
            for bound_ms, count in zip((*BOUNDS_MS, float("inf")), bins, strict=True):
                total += count
                buckets.append(
                    ("+Inf" if bound_ms == float("inf") else str(bound_ms / 1000), total)
                )
            family.add_metric([task], buckets, self._counters.latency_sum_ms[task] / 1000)
        return family

    def _pool_metrics(self) -> Iterator[Metric]:
        stats = self._pool.stats()
        yield GaugeMetricFamily("edged_workers", "Workers alive", value=stats.workers)
        yield GaugeMetricFamily("edged_queued_calls", "Calls waiting", value=stats.queued)
        yield CounterMetricFamily("edged_worker_kills", "Workers killed", value=stats.kills)
        yield CounterMetricFamily("edged_worker_starts", "Workers started", value=stats.respawns)
