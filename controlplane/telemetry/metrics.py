"""The few figures of a task that people watch, as of today.

Runs in: the server. Talks to: the reports. Never: counts; what it tells was counted before.
"""

from typing import Any

from controlplane.clock import Clock
from controlplane.telemetry.report import Reports


class Metrics:
    """Reads them anew each time."""

    def __init__(self, reports: Reports, clock: Clock) -> None:
        self._reports = reports
        self._clock = clock

    async def read(self, organisation_id: str, task: str) -> dict[str, Any]:
        """Return plain JSON: all edges' executions of this day (UTC), in all and by arm."""
        since = self._clock().date()
        report = await self._reports.of_task(organisation_id, task, since=since)
        return {
            "since": since.isoformat(),
            "executions": report.executions,
            "outcomes": report.outcomes,
            "latency_ms": report.latency_ms,
            "edges": report.edges,
            "arms": [
                {
                    "version": arm.version,
                    "arm": arm.arm,
                    "executions": arm.executions,
                    "outcomes": arm.outcomes,
                }
                for arm in report.arms
            ],
        }
