"""The use case: decode, check, route, run, check, log, answer.

Runs in: the gateway. Talks to: catalog, pool, execution log. Never: awaits, or answers before the
execution's line is written.

What the pool finished in one read is written with one append a task, and answered after it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import uuid_utils

from edged.datasets.commits import Commits
from edged.datasets.records import Execution, Timestamps, render
from edged.errors import (
    DeadlinePassed,
    LogUnwritable,
    LoopaiError,
    OutputRefused,
    RunLost,
)
from edged.gateway.catalog import Catalog
from edged.gateway.counters import Counters
from edged.gateway.served import ServedTask
from edged.pool.pool import Pool, Result
from edged.pool.values import Call
from edged.sandbox.frames import Outcome

Reply = Callable[[Execution | LoopaiError], None]
STATUS = {outcome: outcome.name.lower() for outcome in Outcome}


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks. deadline_s: on the loop's clock. timeout_ms: lowers the limit; 0: no."""

    task: str
    input_json: bytes
    routing_key: str = ""
    timeout_ms: int = 0
    deadline_s: float | None = None


class Executor:
    """Takes requests from every door and calls each one's reply exactly once."""

    def __init__(
        self,
        catalog: Catalog,
        pool: Pool,
        log: Commits,
        counters: Counters,
        clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
        *,
        serve_unlogged: bool = False,
    ) -> None:
        """serve_unlogged: answer, and count, what could not be logged; else it is refused."""
        self._catalog = catalog
        self._pool = pool
        self._log = log
        self._counters = counters
        self._clock = clock
        self._loop = loop
        self._serve_unlogged = serve_unlogged
        self._timestamps = Timestamps()
        self._finished: dict[str, list[tuple[Execution, float, Reply]]] = {}  # task → to be logged

    def tasks(self) -> list[ServedTask]:
        return [self._catalog.tasks[name] for name in sorted(self._catalog.tasks)]

    def execute(self, request: Request, reply: Reply) -> Call:
        """Start one execution, whose call may be abandoned when its caller has gone.

        Raises CallerError or PlatformError when it is refused at once.
        """
        received_s = perf_counter()
        task = self._catalog.find(request.task)
        input_json = task.read_input(request.input_json)
        execution_id = str(uuid_utils.uuid7())
        arm = task.choose(request.routing_key or execution_id)
        execution = Execution(
            execution_id=execution_id,
            task=task.name,
            version=arm.version,
            arm=arm.name,
            input_json=input_json,
            routing_key=request.routing_key,
            is_cut_by_caller=0 < request.timeout_ms < self._pool.time_limit_ms,
        )
        return self._pool.submit(
            arm.digest,
            input_json,
            partial(self._finish, task, execution, received_s, reply),
            time_limit_ms=request.timeout_ms or None,
            deadline_s=request.deadline_s,
        )

    def _finish(
        self,
        task: ServedTask,
        execution: Execution,
        received_s: float,
        reply: Reply,
        result: Result,
    ) -> None:
        refusal = self._refusal(result)
        if refusal is not None:
            reply(refusal)
            return
        _fill(execution, task, result)
        if not self._finished:
            self._loop.call_soon(self._flush)
        self._finished.setdefault(task.name, []).append((execution, received_s, reply))

    def _refusal(self, result: Result) -> LoopaiError | None:
        """Return what kept the program from running; then there is no outcome and no line."""
        if result.cut_by_caller and not result.run_ms:
            self._counters.deadlines_passed += 1
            return DeadlinePassed()
        if result.is_lost:
            self._counters.count_refusal(RunLost.code)
            return RunLost(reason=result.error_type)
        return None

    def _flush(self) -> None:
        finished, self._finished = self._finished, {}
        timestamp = self._timestamps.text(self._clock())
        for task, batch in finished.items():
            now_s = perf_counter()
            lines = []
            for execution, received_s, _ in batch:
                execution.latency_ms = round((now_s - received_s) * 1000, 4)
                lines.append(render(execution, timestamp))
            self._log.append(task, lines, partial(self._answer, batch))

    def _answer(
        self, batch: list[tuple[Execution, float, Reply]], error: LogUnwritable | None
    ) -> None:
        """Reply to what was logged, as safely as `storage.fsync` says, or refuse it."""
        if error is not None:
            self._counters.log_failures += 1
        if error is not None and not self._serve_unlogged:
            for _, _, reply in batch:
                reply(error)
            return
        if error is not None:
            self._counters.unlogged += len(batch)
        for execution, _, reply in batch:
            self._counters.count(execution)
            reply(execution)


def _fill(execution: Execution, task: ServedTask, result: Result) -> None:
    """Carry the program's result over; an output that breaks the schema is the program's error."""
    execution.status = STATUS[result.outcome]
    if result.outcome is not Outcome.SUCCESS:
        # A caller who waits for less than the program may take is not the program's fault either.
        execution.is_cut_by_caller &= result.outcome is Outcome.TIMEOUT
        execution.is_cut_by_caller |= result.cut_by_caller
        execution.error_type = result.error_type
        execution.error_message = result.error_message
        return
    try:
        task.check_output(execution.version, result.output_json)
    except OutputRefused as error:
        execution.status = STATUS[Outcome.ERROR]
        execution.is_cut_by_caller = False
        execution.error_type = error.code
        execution.error_message = str(error)
        return
    execution.output_json = result.output_json
    execution.confidence = result.confidence
