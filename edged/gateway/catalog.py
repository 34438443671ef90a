"""The tasks this gateway serves, and the switch from one version to the next.

Runs in: the gateway. Talks to: the pool, the unpacked artifacts on disk. Never: drops a version
that serves before its successor has passed its own self-test.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import structlog

from edged.artifacts.archive import Artifact, SelfTest, open_folder
from edged.artifacts.manifest import Manifest
from edged.contract.schema import Schema
from edged.datasets.layout import Layout
from edged.decisions.routing import Arm, Route, Routes, choose
from edged.errors import (
    InputMalformed,
    InputRefused,
    LoopaiError,
    OutputRefused,
    TaskUnknown,
    TaskUnnamed,
)
from edged.pool.pool import Pool, ProgramSource
from edged.sandbox.frames import Outcome
from edged.sandbox.refusals import ProgramRefused

log = structlog.get_logger()
SELF_TEST_LIMIT_MS = 5_000.0


class SelfTestFailed(Exception):
    """The program did not reproduce one of its own examples."""


@dataclass(frozen=True, slots=True)
class ServedTask:
    """One task, its route and what its programs must be given and must return."""

    name: str
    route: Route
    manifest: Manifest
    input_schema: Schema
    output_schemas: dict[int, Schema]  # by version

    def decode_input(self, input_json: bytes) -> Any:
        """Return the input's value. Raises InputMalformed or InputRefused."""
        try:
            value = orjson.loads(input_json)
        except orjson.JSONDecodeError as error:
            raise InputMalformed(reason=error) from error
        if not self.input_schema.is_satisfied_by(value):
            breach = self.input_schema.breach(value, root="input")
            if breach is not None:
                raise InputRefused(task=self.name, field=breach.field, reason=breach.reason)
        return value

    def check_output(self, version: int, output_json: bytes) -> None:
        """Raise OutputRefused when the output breaks the version's schema."""
        schema = self.output_schemas[version]
        value = orjson.loads(output_json)
        if not schema.is_satisfied_by(value):
            breach = schema.breach(value, root="output")
            if breach is not None:
                raise OutputRefused(field=breach.field, reason=breach.reason)

    def choose(self, key: str) -> Arm:
        return choose(self.route.arms, self.name, key)


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

    def __init__(self, layout: Layout, pool: Pool, default_task: str | None) -> None:
        self._layout = layout
        self._pool = pool
        self._default_task = default_task
        self.tasks: dict[str, ServedTask] = {}
        self.problems: dict[str, str] = {}  # task → why its latest route does not serve
        self.sequence = 0

    def find(self, name: str) -> ServedTask:
        """Return a task; an empty name means the default. Raises TaskUnknown, TaskUnnamed."""
        task = self.tasks.get(name or self._default_name())
        if task is None:
            raise TaskUnknown(task=name, known=self._known())
        return task

    async def apply(self, routes: Routes) -> list[Applied]:
        """Bring every task to its route; a task that fails keeps what it serves."""
        reports = [await self._apply_one(name, route) for name, route in routes.tasks.items()]
        for name in self.tasks.keys() - routes.tasks.keys():
            del self.tasks[name]
        self.problems = {name: text for name, text in self.problems.items() if name in routes.tasks}
        self.sequence = routes.sequence
        self._unload_unused()
        return reports

    async def _apply_one(self, name: str, route: Route) -> Applied:
        target = route.arms[0].version
        try:
            self.tasks[name] = await self._prepare(name, route)
        except Exception as error:  # noqa: BLE001 whatever is wrong with it, its siblings go on
            reason = _reason(error)
            log.warning("route_refused", task=name, version=target, reason=reason)
            self.problems[name] = reason
            await self._fall_back(name, route)
            serving = self.tasks[name].route.arms[0].version if name in self.tasks else 0
            return Applied(
                task=name,
                state="FAILED",
                serving_version=serving,
                target_version=target,
                reason=reason,
            )
        self.problems.pop(name, None)
        log.info("route_applied", task=name, version=target, digest=route.arms[0].digest)
        return Applied(task=name, state="APPLIED", serving_version=target, target_version=target)

    async def _fall_back(self, name: str, route: Route) -> None:
        """After a fresh start there is nothing to keep: serve the arms that last worked."""
        if name in self.tasks or not route.fallback:
            return
        try:
            self.tasks[name] = await self._prepare(name, Route(arms=route.fallback))
        except Exception as error:  # noqa: BLE001 reported; nothing of this task serves
            log.warning("fallback_refused", task=name, reason=_reason(error))

    async def _prepare(self, name: str, route: Route) -> ServedTask:
        artifacts = {arm.version: await self._load(name, arm) for arm in route.arms}
        manifest = artifacts[route.arms[0].version].manifest
        return ServedTask(
            name=name,
            route=route,
            manifest=manifest,
            input_schema=Schema(manifest.input_schema),
            output_schemas={
                version: Schema(artifact.manifest.output_schema)
                for version, artifact in artifacts.items()
            },
        )

    async def _load(self, name: str, arm: Arm) -> Artifact:
        artifact = open_folder(self._layout.version(name, arm.version))
        manifest = artifact.manifest
        await self._pool.load(
            arm.digest,
            ProgramSource(
                source=artifact.program,
                returns_confidence=manifest.returns_confidence,
                source_bytes_limit=manifest.source_bytes_limit,
            ),
        )
        for number, example in enumerate(artifact.self_tests, start=1):
            await self._self_test(arm, example, number)
        return artifact

    async def _self_test(self, arm: Arm, example: SelfTest, number: int) -> None:
        given = json.dumps(example.input).encode()
        result = await self._pool.call(arm.digest, given, time_limit_ms=SELF_TEST_LIMIT_MS)
        if result.outcome is not Outcome.SUCCESS:
            raise SelfTestFailed(f"self-test {number}: {result.error_type} {result.error_message}")
        if json.loads(result.output_json) != example.output:
            raise SelfTestFailed(f"self-test {number}: another output than expected")

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


def _reason(error: Exception) -> str:
    if isinstance(error, ProgramRefused):
        return _refusals(error.refusals)
    if isinstance(error, LoopaiError):
        return f"{error.code}: {error}"  # the code is what leaves in strict privacy
    if isinstance(error, SelfTestFailed):
        return f"self-test failed: {error}"
    return f"{type(error).__name__}: {error}"


def _refusals(refusals: Iterable[object]) -> str:
    return "program refused: " + "; ".join(str(refusal) for refusal in refusals)
