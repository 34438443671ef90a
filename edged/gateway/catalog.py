"""The tasks this gateway serves, and the switch from one version to the next.

Runs in: the gateway. Talks to: the pool, state/quarantine.json. Never: drops a version that serves
before its successor has passed its own self-test.

A version that the pool quarantines is left at once where another arm serves the task, and a moment
later where the fallback must be loaded first.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import structlog

from edged.artifacts.manifest import Digest
from edged.artifacts.quarantine import QuarantineFile
from edged.datasets.layout import Layout
from edged.decisions.routing import Route, Routes, without
from edged.errors import TaskUnknown, TaskUnnamed
from edged.gateway.preparing import Preparer, reason_of
from edged.gateway.served import ServedTask
from edged.pool.pool import Pool
from edged.pool.values import Placement

log = structlog.get_logger()
NO_PLACEMENTS: Mapping[str, Placement] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of one task's route."""

    task: str
    state: Literal["APPLIED", "FAILED"]
    serving_version: int
    target_version: int
    reason: str = ""


class Catalog:
    """Finds tasks for the executor and applies new routes, each task by itself."""

    def __init__(
        self,
        layout: Layout,
        pool: Pool,
        default_task: str | None,
        placements: Mapping[str, Placement] = NO_PLACEMENTS,
    ) -> None:
        """placements: of the tasks that are run on terms of their own."""
        self._pool = pool
        self._default_task = default_task
        self._quarantine = QuarantineFile(layout.quarantine)
        self._unfit = dict(self._quarantine.read())
        self._preparer = Preparer(layout, pool, self._unfit, placements)
        self._applying = asyncio.Lock()
        self._stalled = asyncio.Event()  # set: a task lost its last arm
        self.tasks: dict[str, ServedTask] = {}
        self.problems: dict[str, str] = {}  # task → why its latest route does not serve
        self.sequence = 0
        pool.on_quarantine = self._step_back

    async def run(self) -> None:
        """Bring back, on its fallback, every task whose last version was quarantined."""
        while True:
            await self._stalled.wait()
            self._stalled.clear()
            async with self._applying:
                for name, task in list(self.tasks.items()):
                    await self._fall_back(name, task.route)

    def find(self, name: str) -> ServedTask:
        """Return a task; an empty name means the default. Raises TaskUnknown, TaskUnnamed."""
        task = self.tasks.get(name or self._default_name())
        if task is None:
            raise TaskUnknown(task=name, known=self._known())
        return task

    def is_served(self, name: str) -> bool:
        """Whether a version may run for this task: not all of them are quarantined."""
        task = self.tasks.get(name)
        return task is not None and any(arm.digest not in self._unfit for arm in task.route.arms)

    async def apply(self, routes: Routes) -> list[Applied]:
        """Bring every task to its route; a task that fails keeps what it serves."""
        async with self._applying:
            reports = [await self._apply_one(name, route) for name, route in routes.tasks.items()]
            for name in self.tasks.keys() - routes.tasks.keys():
                del self.tasks[name]
            self.problems = {
                name: text for name, text in self.problems.items() if name in routes.tasks
            }
            self.sequence = routes.sequence
            self._unload_unused()
            return reports

    async def _apply_one(self, name: str, route: Route) -> Applied:
        target = route.arms[0].version
        try:
            self.tasks[name] = await self._preparer.prepare(name, route)
        except Exception as error:  # noqa: BLE001 whatever is wrong with it, its siblings go on
            reason = reason_of(error)
            log.warning("route_refused", task=name, version=target, reason=reason)
            self.problems[name] = reason
            await self._fall_back(name, route)
            return Applied(
                task=name,
                state="FAILED",
                serving_version=self._serving_version(name),
                target_version=target,
                reason=reason,
            )
        self.problems.pop(name, None)
        log.info("route_applied", task=name, version=target, digest=route.arms[0].digest)
        return Applied(task=name, state="APPLIED", serving_version=target, target_version=target)

    async def _fall_back(self, name: str, route: Route) -> None:
        """Where nothing serves: what quarantine left of the route, or the arms that last worked."""
        for arms in (without(route.arms, self._unfit), without(route.fallback, self._unfit)):
            if self.is_served(name):
                return
            if arms and arms != route.arms:
                await self._try(name, replace(route, arms=arms))

    async def _try(self, name: str, route: Route) -> None:
        try:
            self.tasks[name] = await self._preparer.prepare(name, route)
        except Exception as error:  # noqa: BLE001 reported; nothing of this task serves
            log.warning("fallback_refused", task=name, reason=reason_of(error))
            return
        log.warning("fell_back", task=name, version=route.arms[0].version)

    def _step_back(self, key: str, reason: str) -> None:
        """Obey the pool, which has stopped running a version, in the middle of traffic."""
        digest = Digest(key)
        self._unfit[digest] = reason
        for name, task in self.tasks.items():
            if any(arm.digest == digest for arm in task.route.arms):
                self._leave(name, task, digest, reason)
        try:
            self._quarantine.add(digest, reason)
        except OSError as error:  # it holds until the next start, at least
            log.error("quarantine_not_kept", reason=str(error))

    def _leave(self, name: str, task: ServedTask, digest: Digest, reason: str) -> None:
        version = next(arm.version for arm in task.route.arms if arm.digest == digest)
        self.problems[name] = f"version {version} is quarantined: {reason}"
        arms = without(task.route.arms, self._unfit)
        if arms:
            self.tasks[name] = replace(task, route=replace(task.route, arms=arms))
        else:
            self._stalled.set()

    def _serving_version(self, name: str) -> int:
        return self.tasks[name].route.arms[0].version if self.is_served(name) else 0

    def _unload_unused(self) -> None:
        used = {arm.digest for task in self.tasks.values() for arm in task.route.arms}
        for digest in self._pool.stats().by_key.keys() - used:
            self._pool.unload(digest)

    def _default_name(self) -> str:
        if self._default_task:
            return self._default_task
        if len(self.tasks) == 1:
            return next(iter(self.tasks))
        raise TaskUnnamed(known=self._known())

    def _known(self) -> str:
        return ", ".join(sorted(self.tasks)) or "none yet"
