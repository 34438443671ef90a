"""The jobs process: takes requests for programs, one at a time, and makes them durable workflows.

A request is a row of `generations`; its workflow (DBOS) has the generation's id, so that after a
crash it is taken up where it stopped and never runs twice. This is the only place that knows the
workflow library. Runs in: jobs, this is its composition root. Talks to: the database, its own
pool. Never: serves anybody; losing this process costs no answer.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID, error

from controlplane.artifacts.draft import Draft
from controlplane.artifacts.gate import Gate
from controlplane.artifacts.generations import Generations
from controlplane.artifacts.versions import Versions
from controlplane.clock import utc_now
from controlplane.config import StorageSettings
from controlplane.generator.evaluator import PoolRunner
from controlplane.generator.ml import MlGenerator
from controlplane.generator.rule import RuleGenerator
from controlplane.making import Making, MakingParts
from controlplane.storage.blobs import Blobs
from controlplane.storage.database import Database
from controlplane.storage.keys import KeyFolder
from controlplane.storage.models import GenerationRow
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.examples import Examples
from edged.errors import CallerError
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from edged.sandbox.kernel import die_with_parent

log = structlog.get_logger()

POLL_INTERVAL_S = 0.2
NICENESS = 10  # training may not slow the doors
EXECUTOR = "jobs"  # the same at every start: DBOS takes up what this executor left
SHAPE = "generation-1"  # raise it with the steps below; a workflow of another shape is not resumed
MAX_ATTEMPTS = 10  # a request that ended this process so often is at fault itself

Workflow = Callable[[str], Coroutine[Any, Any, None]]


def run(storage: StorageSettings, *, parent_pid: int) -> None:
    """Work until SIGTERM, or until the server is gone; does not return."""
    _die_with(parent_pid)
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    asyncio.run(_main(storage))


async def _main(storage: StorageSettings) -> None:
    # Nothing needs saving, whatever is under way goes on at the next start; and a training thread
    # cannot be asked to stop.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    settings = PoolSettings(workers_per_version=2, max_workers=8)
    # The pool comes first: its zygote starts before this process has read a secret.
    async with Pool(settings) as pool, Database(storage.database_url) as database:
        generations = Generations(database, utc_now)
        making = Making(_parts(storage, database, generations, pool))
        workflow = _register(making, generations)
        _launch(storage)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_work(generations, making, workflow), name="generations")


def _parts(
    storage: StorageSettings, database: Database, generations: Generations, pool: Pool
) -> MakingParts:
    keys = KeyFolder(storage.data_dir / "keys")
    blobs = Blobs(storage.data_dir / "blobs")
    return MakingParts(
        tasks=Tasks(database, utc_now),
        examples=Examples(database, utc_now),
        generations=generations,
        versions=Versions(database, blobs, keys.signing_key(), utc_now),
        gate=Gate(pool),
        runner=PoolRunner(pool),
        generators=(RuleGenerator(), MlGenerator()),
    )


def _register(making: Making, generations: Generations) -> Workflow:
    """Declare the workflow and its steps; a step that ended is not run again after a crash."""

    @DBOS.step(name="propose", retries_allowed=True, max_attempts=3)
    async def propose(generation_id: str) -> dict[str, str]:
        made = await making.propose(await generations.read(generation_id))
        return {"reason": str(made)} if isinstance(made, CallerError) else {"draft": made.render()}

    @DBOS.step(name="publish", retries_allowed=True, max_attempts=3)
    async def publish(generation_id: str, proposal: dict[str, str]) -> None:
        row = await generations.read(generation_id)
        if "reason" in proposal:
            await making.fail(row, proposal["reason"])
        else:
            await making.publish(row, Draft.parse(proposal["draft"]))

    @DBOS.workflow(name="generate", max_recovery_attempts=MAX_ATTEMPTS)
    async def workflow(generation_id: str) -> None:
        await publish(generation_id, await propose(generation_id))

    return workflow


def _launch(storage: StorageSettings) -> None:
    """Start DBOS on this loop; it takes up what a former process left."""
    config: DBOSConfig = {
        "name": "loopai-controlplane",
        "system_database_url": f"sqlite:///{storage.data_dir / 'workflows.sqlite'}",
        "executor_id": EXECUTOR,
        "application_version": SHAPE,
        "enable_otlp": False,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()


async def _work(generations: Generations, making: Making, workflow: Workflow) -> None:
    """One request at a time: training takes every core it gets."""
    log.info("jobs_ready")
    while True:
        row = await generations.oldest_unfinished()
        if row is None:
            await asyncio.sleep(POLL_INTERVAL_S)
            continue
        await _finish(row, making, workflow)


async def _finish(row: GenerationRow, making: Making, workflow: Workflow) -> None:
    """Start the request's workflow, or join the one that was taken up, and see it through."""
    log.info("generation_taken", generation=row.id, status=row.status)
    try:
        handle = await _handle(row.id, workflow)
        await handle.get_result()
    except error.DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded:
        await making.fail(row, f"it ended the jobs process {MAX_ATTEMPTS} times; the log has more")
    except Exception as problem:
        log.exception("generation_broke", generation=row.id)
        await making.fail(row, f"internal error: {type(problem).__name__}: {problem}")
    # The row holds the result; the workflow's copy of the program is of no more use.
    await DBOS.delete_workflow_async(row.id)


async def _handle(generation_id: str, workflow: Workflow) -> Any:
    if await DBOS.get_workflow_status_async(generation_id) is not None:
        return await DBOS.retrieve_workflow_async(generation_id)
    with SetWorkflowID(generation_id):
        return await DBOS.start_workflow_async(workflow, generation_id)


def _die_with(parent_pid: int) -> None:
    """Have the kernel end this process with the server, however the server ends."""
    is_bound = die_with_parent()
    if not is_bound:
        log.warning("jobs_not_bound_to_server")
    if os.getppid() != parent_pid:
        os._exit(0)  # it ended before the line above
