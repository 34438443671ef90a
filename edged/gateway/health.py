"""What this gateway can do right now, for grpc.health.v1, /readyz and the supervisor.

Runs in: the gateway. Never: says SERVING while calls are
refused because they cannot be logged.
"""

import asyncio
from collections.abc import Sequence

import structlog
from grpc_health.v1 import health, health_pb2

from edged.datasets.writer import LogWriter
from edged.errors import LogUnwritable
from edged.gateway.catalog import Catalog
from edged.pool.pool import Pool

log = structlog.get_logger()
CHECK_INTERVAL_S = 1.0
OVERALL = ""
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Publishes the overall status and one a task (`loopai.task.<name>`)."""

    def __init__(
        self,
        catalog: Catalog,
        writers: Sequence[LogWriter],
        servicer: health.aio.HealthServicer,
        pool: Pool,
        *,
        serve_unlogged: bool,
    ) -> None:
        self._catalog = catalog
        self._writers = writers
        self._serve_unlogged = serve_unlogged
        self._servicer = servicer
        self._pool = pool
        self._published: dict[str, int] = {}
        self._log_problem = ""
        self.is_draining = False

    async def run(self) -> None:
        """Look at the log's folder once a second and publish what changed."""
        while True:
            await self.refresh()
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def refresh(self) -> None:
        self._note(self._probe_logs())
        wanted = {f"loopai.task.{name}": self._status_of(name) for name in self._catalog.tasks}
        gone = self._published.keys() - wanted.keys() - {OVERALL}
        await self._publish({**dict.fromkeys(gone, UNKNOWN), **wanted, OVERALL: self._status()})

    async def drain(self) -> None:
        self.is_draining = True
        await self.refresh()

    def report(self) -> dict[str, object]:
        """Return what /readyz shows."""
        catalog = self._catalog
        problems = dict(catalog.problems)
        if self._log_problem:
            problems["log"] = self._log_problem
        if not catalog.tasks:
            problems["tasks"] = "no task is served yet"
        return {
            "ready": bool(catalog.tasks) and self._status() == SERVING,
            "draining": self.is_draining,
            "tasks": {
                name: {"version": task.route.arms[0].version}
                for name, task in catalog.tasks.items()
            },
            "problems": problems,
            "isolation": jail.by_barrier() if (jail := self._pool.jail_report) else None,
        }

    def _status_of(self, task: str) -> int:
        return self._status() if self._catalog.is_served(task) else NOT_SERVING

    def _status(self) -> int:
        is_blocked = bool(self._log_problem) and not self._serve_unlogged
        return NOT_SERVING if self.is_draining or is_blocked else SERVING

    def _note(self, problem: str) -> None:
        """Tell a change once: a disk stays full for long."""
        if problem and not self._log_problem:
            log.warning("log_unwritable", reason=problem, calls_are_served=self._serve_unlogged)
        elif self._log_problem and not problem:
            log.info("log_writable_again")
        self._log_problem = problem

    def _probe_logs(self) -> str:
        try:
            for writer in self._writers:
                writer.check()
        except LogUnwritable as error:
            return str(error)
        return ""

    async def _publish(self, wanted: dict[str, int]) -> None:
        for service, status in wanted.items():
            if self._published.get(service) != status:
                await self._servicer.set(service, status)
                self._published[service] = status
