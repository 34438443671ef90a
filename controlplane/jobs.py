"""The jobs process: makes programs on request, watches how they fare and betters them.

A request is a row of `generations` or `improvements`; its workflow sees it through crashes. Those
of one kind are worked off one by one. Runs in: jobs, this is its composition root. Talks to: the
database, its own pool. Never: serves anybody; losing this process costs no answer.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from controlplane import workflows
from controlplane.answering import Answering
from controlplane.artifacts.gate import Gate
from controlplane.artifacts.generations import Generations
from controlplane.artifacts.versions import Versions
from controlplane.clock import utc_now
from controlplane.config import JobsSettings
from controlplane.generator.evaluator import PoolRunner
from controlplane.generator.llm import LlmGenerator
from controlplane.generator.ml import MlGenerator
from controlplane.generator.rule import RuleGenerator
from controlplane.improvement.attempt import Attempt, AttemptParts
from controlplane.improvement.improvements import Improvements
from controlplane.improvement.sight import Sight
from controlplane.improvement.tickets import Tickets
from controlplane.improvement.watcher import Watcher, WatcherParts
from controlplane.making import Making, MakingParts
from controlplane.reviews.labels import Labels
from controlplane.reviews.questions import Questions
from controlplane.rollouts.rollouts import Rollouts
from controlplane.storage.blobs import Blobs
from controlplane.storage.database import Database
from controlplane.storage.keys import KeyFolder
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.examples import Examples
from controlplane.workflows import Workflow
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from edged.sandbox.kernel import die_with_parent

log = structlog.get_logger()
Row = TypeVar("Row")

POLL_INTERVAL_S = 0.2
NICENESS = 10  # training may not slow the doors


def run(settings: JobsSettings, *, parent_pid: int) -> None:
    """Work until SIGTERM, or until the server is gone; does not return."""
    _die_with(parent_pid)
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    asyncio.run(_main(settings))


async def _main(settings: JobsSettings) -> None:
    # Nothing needs saving, whatever is under way goes on at the next start; and a training thread
    # cannot be asked to stop.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    pool_settings = PoolSettings(workers_per_version=2, max_workers=8)
    # The pool comes first: its zygote starts before this process has read a secret.
    async with Pool(pool_settings) as pool, Database(settings.storage.database_url) as database:
        await Assembly(settings, database, pool).work()


class Assembly:
    """The parts, made once and introduced to each other."""

    def __init__(self, settings: JobsSettings, database: Database, pool: Pool) -> None:
        self._settings = settings
        self._database = database
        storage = settings.storage
        self._tasks = Tasks(database, utc_now)
        self._labels = Labels(database)
        self._sight = Sight(self._labels, settings.improvement)
        self._improvements = Improvements(database, utc_now)
        self._generations = Generations(database, utc_now)
        self._rollouts = Rollouts(database, utc_now, live_within_s=settings.rollout.live_within_s)
        self._making_parts = MakingParts(
            tasks=self._tasks,
            examples=Examples(database, utc_now),
            generations=self._generations,
            versions=Versions(
                database,
                Blobs(storage.data_dir / "blobs"),
                KeyFolder(storage.data_dir / "keys").signing_key(),
                utc_now,
            ),
            gate=Gate(pool),
            runner=PoolRunner(pool),
            generators=(RuleGenerator(), MlGenerator(), LlmGenerator(settings.llm)),
        )
        self._making = Making(self._making_parts)
        self._attempt = Attempt(self._attempt_parts())

    async def work(self) -> None:
        """Take up what a former process left, then what comes."""
        cores = asyncio.Lock()
        generate = workflows.generation(self._making, self._generations, cores)
        improve = workflows.improvement(self._attempt, cores)
        workflows.launch(self._settings.storage.data_dir)
        log.info("jobs_ready")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._generate(generate), name="generations")
            tasks.create_task(self._improve(improve), name="improvements")
            tasks.create_task(self._watcher().run(), name=Watcher.name)
            tasks.create_task(self._answering().run(), name=Answering.name)

    async def _generate(self, workflow: Workflow) -> None:
        while True:
            row = await _next(self._generations.oldest_unfinished)
            log.info("generation_taken", generation=row.id, status=row.status)
            reason = await workflows.see_through(row.id, workflow)
            if reason is not None:
                await self._making.fail(row, reason)
            await workflows.forget(row.id)

    async def _improve(self, workflow: Workflow) -> None:
        while True:
            row = await _next(self._improvements.oldest_at_work)
            log.info("improvement_taken", improvement=row.id, status=row.status)
            reason = await workflows.see_through(row.id, workflow)
            if reason is not None:
                await self._attempt.give_up(row.id, reason)
            await workflows.forget(row.id)

    def _answering(self) -> Answering:
        questions = Questions(self._database, utc_now)
        return Answering(questions, self._tasks, self._settings.llm, utc_now)

    def _watcher(self) -> Watcher:
        parts = WatcherParts(
            database=self._database,
            tasks=self._tasks,
            labels=self._labels,
            sight=self._sight,
            improvements=self._improvements,
            tickets=Tickets(self._database, utc_now),
            rollouts=self._rollouts,
            attempt=self._attempt,
            settings=self._settings.improvement,
        )
        return Watcher(parts)

    def _attempt_parts(self) -> AttemptParts:
        making = self._making_parts
        return AttemptParts(
            tasks=self._tasks,
            examples=making.examples,
            labels=self._labels,
            sight=self._sight,
            generations=self._generations,
            versions=making.versions,
            gate=making.gate,
            runner=making.runner,
            generators=making.generators,
            improvements=self._improvements,
            rollouts=self._rollouts,
            plan=self._settings.rollout.plan(),
            settings=self._settings.improvement,
        )


async def _next(oldest: Callable[[], Awaitable[Row | None]]) -> Row:
    """Wait for a request."""
    while True:
        row = await oldest()
        if row is not None:
            return row
        await asyncio.sleep(POLL_INTERVAL_S)


def _die_with(parent_pid: int) -> None:
    """Have the kernel end this process with the server, however the server ends."""
    is_bound = die_with_parent()
    if not is_bound:
        log.warning("jobs_not_bound_to_server")
    if os.getppid() != parent_pid:
        os._exit(0)  # it ended before the line above
