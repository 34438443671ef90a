"""Bring the gateway to the wanted versions: write routes.json, nudge, settle what came of it.

Runs in: the agent. Talks to: state/routes.json, the gateway's control socket, the store's `active`
links. Never: leaves a version in routes.json that the gateway refused while another one serves.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog

from edged.agent.store import ArtifactStore, StoredVersion
from edged.datasets.layout import Layout
from edged.decisions.backoff import full_jitter_s
from edged.decisions.routing import CANDIDATE, STABLE, Arm, Route, Routes, Source
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The arms that one task should have."""

    task: str
    arms: tuple[Arm, ...]

    @classmethod
    def of(
        cls, stable: StoredVersion, candidate: StoredVersion | None = None, weight: float = 0.0
    ) -> "Target":
        """weight: the candidate's share of traffic, 0 to 1."""
        arms = [_arm(STABLE, stable, 1 - weight)] if weight < 1 else []
        if candidate is not None and weight > 0:
            arms.append(_arm(CANDIDATE, candidate, weight))
        return cls(task=stable.task, arms=tuple(arms))


def _arm(name: str, version: StoredVersion, weight: float) -> Arm:
    return Arm(name=name, version=version.version, digest=version.digest, weight=weight)


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
        self, source: Source, targets: Iterable[Target], sequence: int | None = None
    ) -> list[TaskReport]:
        """Make `targets` the whole of what `source` wants; returns what the gateway serves.

        targets: read when nothing else is applied any more, so that a generator's are of that
        moment. sequence: of the signed state, from home only. Waits for as long as the gateway is
        away.
        """
        async with self._applying:
            before = self.routes
            wanted = _merge(before, source, targets, sequence)
            reports = await self._switch(before, wanted)
            return [report for report in reports if wanted.tasks[report.task].source == source]

    async def apply_again(self) -> None:
        """Have the gateway look at the same routes, and report what has become of them."""
        async with self._applying:
            routes = self.routes
            await self._switch(routes, routes)

    async def replace(self, task: str, target: Callable[[], Target | None]) -> TaskReport | None:
        """Give one routed task other arms; None when nobody routes it, or wants it, any more.

        target: asked when nothing else is applied any more.
        """
        async with self._applying:
            before, wanted = self.routes, target()
            old = before.tasks.get(task)
            if old is None or wanted is None:
                return None
            route = _route(wanted, old, old.source)
            after = Routes(sequence=before.sequence, tasks={**before.tasks, task: route})
            reports = await self._switch(before, after)
            return next((report for report in reports if report.task == task), None)

    async def _switch(self, before: Routes, wanted: Routes) -> list[TaskReport]:
        write_whole(self._layout.routes, wanted.render())
        reports = await self._nudge()
        write_whole(self._layout.routes, _settle(before, wanted, reports).render())
        for report in reports:
            self.reports[report.task] = report
            if report.state == "APPLIED":
                self._store.activate(report.task, report.serving_version)
        self.reports = {t: r for t, r in self.reports.items() if t in wanted.tasks}
        return reports

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
    before: Routes, source: Source, targets: Iterable[Target], sequence: int | None
) -> Routes:
    kept = {name: route for name, route in before.tasks.items() if route.source != source}
    wanted = {
        target.task: _route(target, before.tasks.get(target.task), source) for target in targets
    }
    tasks = {**wanted, **kept} if source == "local" else {**kept, **wanted}
    return Routes(sequence=before.sequence if sequence is None else sequence, tasks=tasks)


def _route(target: Target, old: Route | None, source: Source) -> Route:
    fallback = old.arms if old is not None and old.arms != target.arms else ()
    return Route(arms=target.arms, fallback=fallback, source=source)


def _settle(before: Routes, wanted: Routes, reports: list[TaskReport]) -> Routes:
    """Replace every refused route by what serves instead, if anything does."""
    tasks = dict(wanted.tasks)
    for report in reports:
        old = before.tasks.get(report.task)
        if report.state == "FAILED" and report.serving_version and old is not None:
            tasks[report.task] = old
    return Routes(sequence=wanted.sequence, tasks=tasks)
