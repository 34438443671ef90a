"""Bring the gateway to the wanted versions: write routes.json, nudge, settle what came of it.

Runs in: the agent. Talks to: state/routes.json, the gateway's control socket, the store's `active`
links. Never: leaves a version in routes.json that the gateway refused while another one serves.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog

from edged.agent.store import ArtifactStore, StoredVersion
from edged.datasets.layout import Layout
from edged.decisions.backoff import full_jitter_s
from edged.decisions.routing import STABLE, Arm, Route, Routes, Source
from edged.files import write_whole

log = structlog.get_logger()
ANSWER_TIMEOUT_S = 120.0  # compiling and self-testing every task's program


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """What the gateway did with one task. state: APPLIED or FAILED."""

    task: str
    state: str
    serving_version: int
    target_version: int
    reason: str = ""


class Applier:
    """Owns routes.json. Targets come from two sources; home's wins where both name a task."""

    def __init__(self, layout: Layout, store: ArtifactStore, control_path: Path) -> None:
        self._layout = layout
        self._store = store
        self._control_path = control_path
        self._applying = asyncio.Lock()
        self.reports: dict[str, TaskReport] = {}  # task → the latest

    @property
    def routes(self) -> Routes:
        try:
            return Routes.parse(self._layout.routes.read_bytes())
        except FileNotFoundError:
            return Routes()
        except ValueError as error:
            log.error("routes_unreadable", reason=str(error))
            return Routes()

    async def apply(
        self, source: Source, targets: Iterable[StoredVersion], sequence: int | None = None
    ) -> list[TaskReport]:
        """Make `targets` the whole of what `source` wants; returns what the gateway serves.

        sequence: of the signed state, from home only. Waits for as long as the gateway is away.
        """
        async with self._applying:
            before = self.routes
            wanted = _merge(before, source, targets, sequence)
            write_whole(self._layout.routes, wanted.render())
            reports = await self._nudge()
            write_whole(self._layout.routes, _settle(before, wanted, reports).render())
            for report in reports:
                self.reports[report.task] = report
                if report.state == "APPLIED":
                    self._store.activate(report.task, report.serving_version)
            self.reports = {t: r for t, r in self.reports.items() if t in wanted.tasks}
            return [report for report in reports if wanted.tasks[report.task].source == source]

    async def _nudge(self) -> list[TaskReport]:
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    return await self._ask()
            except (OSError, ValueError, TimeoutError) as error:
                log.info("gateway_away", reason=str(error) or type(error).__name__)
            await asyncio.sleep(full_jitter_s(attempt, base_s=0.1, cap_s=2))
            attempt += 1

    async def _ask(self) -> list[TaskReport]:
        reader, writer = await asyncio.open_unix_connection(self._control_path, limit=2**22)
        try:
            writer.write(b"apply\n")
            answer = orjson.loads(await reader.readline())
        finally:
            writer.close()
        return [TaskReport(**task) for task in answer["tasks"]]


def _merge(
    before: Routes, source: Source, targets: Iterable[StoredVersion], sequence: int | None
) -> Routes:
    kept = {name: route for name, route in before.tasks.items() if route.source != source}
    wanted: dict[str, Route] = {}
    for target in targets:
        arm = Arm(name=STABLE, version=target.version, digest=target.digest)
        old = before.tasks.get(target.task)
        fallback = old.arms if old is not None and old.arms != (arm,) else ()
        wanted[target.task] = Route(arms=(arm,), fallback=fallback, source=source)
    tasks = {**wanted, **kept} if source == "local" else {**kept, **wanted}
    return Routes(sequence=before.sequence if sequence is None else sequence, tasks=tasks)


def _settle(before: Routes, wanted: Routes, reports: list[TaskReport]) -> Routes:
    """Replace every refused route by what serves instead, if anything does."""
    tasks = dict(wanted.tasks)
    for report in reports:
        old = before.tasks.get(report.task)
        if report.state == "FAILED" and report.serving_version and old is not None:
            tasks[report.task] = old
    return Routes(sequence=wanted.sequence, tasks=tasks)
