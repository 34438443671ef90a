"""Show the counters to Prometheus, when someone asks for /metrics.

Runs in: the gateway, imported at the first scrape. Never: on the path of a call.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edged.gateway.counters import BOUNDS_MS, Counters
from edged.pool.pool import Pool
from edged.rpc.limits import Counters as DoorCounters


class Exporter(Collector):
    """Reads the counters when someone asks for /metrics."""

    def __init__(
        self,
        counters: Counters,
        doors: Callable[[], Mapping[str, DoorCounters]],
        pool: Pool,
    ) -> None:
        self._counters = counters
        self._doors = doors
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
            "edged_deadlines_passed", "Calls whose caller gave up before a worker took them",
            value=self._counters.deadlines_passed,
        )  # fmt: skip
        yield CounterMetricFamily(
            "edged_log_failures", "Appends to the execution log that failed",
            value=self._counters.log_failures,
        )  # fmt: skip
        yield CounterMetricFamily(
            "edged_executions_unlogged", "Executions answered without a line in the log",
            value=self._counters.unlogged,
        )  # fmt: skip
        yield from self._door_metrics()
        yield from self._pool_metrics()

    def _door_metrics(self) -> Iterator[Metric]:
        """What is open is a gauge, what a defence did is a counter."""
        is_open = GaugeMetricFamily(
            "edged_door_open", "Connections and calls open now", labels=["door", "kind"]
        )
        defences = CounterMetricFamily(
            "edged_door_defences", "How often a defence of a door acted", labels=["door", "defence"]
        )
        for door, counters in self._doors().items():
            for name, value in asdict(counters).items():
                family = is_open if name in {"connections", "rpcs"} else defences
                family.add_metric([door, name], value)
        yield is_open
        yield defences

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
        yield self._barriers()
        yield CounterMetricFamily("edged_worker_kills", "Workers killed", value=stats.kills)
        yield CounterMetricFamily(
            "edged_worker_losses", "Workers that ended unasked", value=stats.respawns
        )

    def _barriers(self) -> Metric:
        family = GaugeMetricFamily(
            "edged_isolation_barrier", "1 where the barrier was probed to hold", labels=["barrier"]
        )
        report = self._pool.jail_report
        for name, holds in (report.by_barrier() if report else {}).items():
            family.add_metric([name], float(holds))
        return family
