"""The durable workflows of the jobs process: a generation, an improvement.

A workflow has the id of the row that asks for it, so that after a crash it is taken up where it
stopped and never runs twice; a step that ended is not run again. This is the only place that knows
the workflow library. Runs in: jobs. Never: decides what a step does.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID, error

from controlplane.artifacts.draft import Draft
from controlplane.artifacts.generations import Generations
from controlplane.improvement.attempt import Attempt
from controlplane.making import Making
from edged.errors import CallerError

log = structlog.get_logger()

EXECUTOR = "jobs"  # the same at every start: DBOS takes up what this executor left
SHAPE = "loop-1"  # raise it with the steps below; a workflow of another shape is not resumed
MAX_ATTEMPTS = 10  # a request that ended this process so often is at fault itself
MAX_TRIES = 3  # of a step that raised

Workflow = Callable[[str], Coroutine[Any, Any, None]]
Words = ParamSpec("Words")
Answer = TypeVar("Answer")


def generation(making: Making, generations: Generations, cores: asyncio.Lock) -> Workflow:
    """Declare the workflow of a generation. cores: held while training, which takes them all."""

    async def propose_row(generation_id: str) -> dict[str, str]:
        async with cores:
            made = await making.propose(await generations.read(generation_id))
        return {"reason": str(made)} if isinstance(made, CallerError) else {"draft": made.render()}

    async def publish_row(generation_id: str, proposal: dict[str, str]) -> None:
        row = await generations.read(generation_id)
        if "reason" in proposal:
            await making.fail(row, proposal["reason"])
        else:
            await making.publish(row, Draft.parse(proposal["draft"]))

    propose, publish = _step("propose", propose_row), _step("publish", publish_row)

    @DBOS.workflow(name="generate", max_recovery_attempts=MAX_ATTEMPTS)
    async def workflow(generation_id: str) -> None:
        await publish(generation_id, await propose(generation_id))

    return workflow


def improvement(attempt: Attempt, cores: asyncio.Lock) -> Workflow:
    """Declare the workflow of an improvement, up to the start of its rollout.

    What follows takes days and the edges decide it: the watcher ends the attempt then, so that no
    workflow waits for a person or a fleet through more restarts than it may have.
    """
    analyse = _step("analyse", attempt.analyse)
    evaluate = _step("evaluate", attempt.evaluate)
    reject = _step("reject", attempt.reject)
    roll_out = _step("roll_out", attempt.roll_out)

    async def with_cores(improvement_id: str) -> dict[str, str]:
        async with cores:
            return await attempt.regenerate(improvement_id)

    regenerate = _step("regenerate", with_cores)

    @DBOS.workflow(name="improve", max_recovery_attempts=MAX_ATTEMPTS)
    async def workflow(improvement_id: str) -> None:
        if not await analyse(improvement_id):
            return
        made = await regenerate(improvement_id)
        if "reason" in made:
            await reject(improvement_id, made["reason"])
        elif await evaluate(improvement_id, made["draft"]):
            await roll_out(improvement_id, made["draft"])

    return workflow


def _step(
    name: str, act: Callable[Words, Coroutine[Any, Any, Answer]]
) -> Callable[Words, Coroutine[Any, Any, Answer]]:
    @DBOS.step(name=name, retries_allowed=True, max_attempts=MAX_TRIES)
    async def step(*words: Words.args, **more: Words.kwargs) -> Answer:
        return await act(*words, **more)

    return step


def launch(data_dir: Path) -> None:
    """Start the library on this loop; it takes up what a former process left."""
    config: DBOSConfig = {
        "name": "loopai-controlplane",
        "system_database_url": f"sqlite:///{data_dir / 'workflows.sqlite'}",
        "executor_id": EXECUTOR,
        "application_version": SHAPE,
        "enable_otlp": False,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()


async def see_through(row_id: str, workflow: Workflow) -> str | None:
    """Start the row's workflow, or join the one that was taken up; return why it broke, if so."""
    reason = None
    try:
        handle = await _handle(row_id, workflow)
        await handle.get_result()
    except error.DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded:
        reason = f"it ended the jobs process {MAX_ATTEMPTS} times; the log has more"
    except Exception as problem:
        log.exception("workflow_broke", row=row_id)
        reason = f"internal error: {type(problem).__name__}: {problem}"
    return reason


async def forget(row_id: str) -> None:
    """Delete what is kept of a workflow, once its row holds the result."""
    await DBOS.delete_workflow_async(row_id)


async def _handle(row_id: str, workflow: Workflow) -> Any:
    if await DBOS.get_workflow_status_async(row_id) is not None:
        return await DBOS.retrieve_workflow_async(row_id)
    with SetWorkflowID(row_id):
        return await DBOS.start_workflow_async(workflow, row_id)
