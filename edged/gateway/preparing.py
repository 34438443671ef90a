"""Make a route ready to serve: read its artifacts, load them into the pool, run their own examples.

Runs in: the gateway. Talks to: the pool, the unpacked artifacts on disk. Never: switches anything.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from edged.artifacts.archive import Artifact, SelfTest, open_folder
from edged.artifacts.manifest import Digest
from edged.contract.schema import Schema
from edged.datasets.layout import Layout
from edged.decisions.routing import Arm, Route
from edged.errors import LoopaiError, PlatformError
from edged.gateway.served import ServedTask
from edged.pool.pool import LoadFailed, Pool, PoolError, ProgramSource, Result
from edged.pool.values import DEFAULT_PLACEMENT, Placement
from edged.sandbox.frames import Outcome
from edged.sandbox.refusals import ProgramRefused

SELF_TEST_LIMIT_MS = 5_000.0
PATIENCE_S = 15.0  # with a pool that has no room: of one load, and of one self-test with its run
RETRY_S = 0.1
WARM_EXAMPLES = 3  # each new worker runs so many first: caches fill before a caller waits for them
_Answer = TypeVar("_Answer")


class VersionUnfit(PlatformError):
    """This edge has stopped running one of the route's versions."""

    code = "version_quarantined"
    text = "version {version} is quarantined: {reason}"


class SelfTestFailed(Exception):
    """The program did not reproduce one of its own examples."""


class Preparer:
    """Gives a ServedTask for a route, or says why not."""

    def __init__(
        self,
        layout: Layout,
        pool: Pool,
        unfit: Mapping[Digest, str],
        placements: Mapping[str, Placement],
    ) -> None:
        """unfit: quarantined versions and why; it grows. placements: by task."""
        self._placements = placements
        self._layout = layout
        self._pool = pool
        self._unfit = unfit
        self._passed: set[Digest] = set()  # versions that have reproduced their own examples here

    async def prepare(self, name: str, route: Route) -> ServedTask:
        """Raises whatever keeps one of the arms from serving."""
        artifacts = {arm.version: await self._load(name, arm) for arm in route.arms}
        for arm in route.arms:  # one that serves already may have been put away meanwhile
            self._check_fit(arm)
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
        self._check_fit(arm)
        artifact = open_folder(self._layout.version(name, arm.version))
        manifest = artifact.manifest
        examples = artifact.self_tests[:WARM_EXAMPLES]
        program = ProgramSource(
            source=artifact.program,
            returns_confidence=manifest.returns_confidence,
            source_bytes_limit=manifest.source_bytes_limit,
            placement=self._placements.get(name, DEFAULT_PLACEMENT),
            warm_inputs=tuple(json.dumps(example.input).encode() for example in examples),
        )
        await _patiently(lambda: self._pool.load(arm.digest, program))
        # Once is enough: a version that serves would run them in the queue of its callers.
        if arm.digest not in self._passed:
            for number, example in enumerate(artifact.self_tests, start=1):
                await self._self_test(arm, example, number)
            self._passed.add(arm.digest)
        return artifact

    def _check_fit(self, arm: Arm) -> None:
        if arm.digest in self._unfit:
            raise VersionUnfit(version=arm.version, reason=self._unfit[arm.digest])

    async def _self_test(self, arm: Arm, example: SelfTest, number: int) -> None:
        given = json.dumps(example.input).encode()
        result = await _patiently(lambda: self._call(arm.digest, given))
        if result.outcome is not Outcome.SUCCESS:
            raise SelfTestFailed(f"self-test {number}: {result.error_type} {result.error_message}")
        if json.loads(result.output_json) != example.output:
            raise SelfTestFailed(f"self-test {number}: another output than expected")

    async def _call(self, digest: Digest, given: bytes) -> Result:
        """Run one example. Raises LoadFailed when no worker has come to it in time."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._pool.call(digest, given, time_limit_ms=SELF_TEST_LIMIT_MS)
        except TimeoutError:
            raise LoadFailed(key=digest, reason="no worker has come to its self-test") from None


async def _patiently(act: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Act again while only the moment is wrong: a queue is full, no worker is to be had."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + PATIENCE_S
    while True:
        try:
            return await act()
        except PoolError as error:
            if not error.retryable or loop.time() >= until_s:
                raise
        await asyncio.sleep(RETRY_S)


def reason_of(error: Exception) -> str:
    """Return one line for people, whatever kept a route from serving."""
    if isinstance(error, ProgramRefused):
        return _refusals(error.refusals)
    if isinstance(error, LoopaiError):
        return f"{error.code}: {error}"  # the code is what leaves in strict privacy
    if isinstance(error, SelfTestFailed):
        return f"self-test failed: {error}"
    return f"{type(error).__name__}: {error}"


def _refusals(refusals: Iterable[object]) -> str:
    return "program refused: " + "; ".join(str(refusal) for refusal in refusals)
