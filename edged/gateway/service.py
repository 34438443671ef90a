"""The gRPC door: protobuf in, use case, protobuf out.

Runs in: the gateway. Never: lets a program's failure leave as an RPC error.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

import grpc
import orjson
from loopai.edge.v1 import edge_pb2 as wire
from loopai.edge.v1 import edge_pb2_grpc

from edged.errors import ExecutionIdMalformed, InputMalformed, LoopaiError, RequestMalformed
from edged.gateway.access import Access
from edged.gateway.codec import Result, response_of, result_of
from edged.gateway.counters import Counters
from edged.gateway.executor import Executor, Request
from edged.gateway.hot import MAX_BATCH
from edged.gateway.outcomes import OutcomeLog
from edged.rpc.peer import Peer
from edged.rpc.status import details_of, status_of

STREAM_WINDOW = 256  # calls of one stream in flight; the stream is not read on above it

STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}  # what grpcio wants to be given
Context = grpc.aio.ServicerContext[Any, Any]


class EdgeService(edge_pb2_grpc.EdgeServiceServicer):
    """Implements loopai.edge.v1.EdgeService on either server; `hot` goes before it on ours."""

    def __init__(
        self,
        executor: Executor,
        outcomes: OutcomeLog,
        counters: Counters,
        access: Access | None,
    ) -> None:
        """access: None lets everybody in; a call is asked for its caller before it comes here."""
        self._executor = executor
        self._outcomes = outcomes
        self._counters = counters
        self._access = access

    async def Execute(self, request: wire.ExecuteRequest, context: Context) -> wire.ExecuteResponse:
        done = self._start(request, _deadline_s(context))
        result = await done
        if isinstance(result, LoopaiError):
            await _abort(context, result)
        return response_of(result)

    async def ExecuteBatch(
        self, request: wire.ExecuteBatchRequest, context: Context
    ) -> wire.ExecuteBatchResponse:
        if len(request.requests) > MAX_BATCH:
            reason = f"a batch holds at most {MAX_BATCH} requests, not {len(request.requests)}"
            await _abort(context, RequestMalformed(reason=reason))
        deadline_s = _deadline_s(context)
        started = [self._start(item, deadline_s) for item in request.requests]
        results = [result_of(await done) for done in started]
        return wire.ExecuteBatchResponse(results=results)

    async def ExecuteStream(  # type: ignore[override]  # grpc.aio also takes context.write
        self, request_iterator: AsyncIterator[wire.ExecuteStreamRequest], context: Context
    ) -> None:
        if self._access is None:
            await self._answer_stream(request_iterator, context)
            return
        async with asyncio.TaskGroup() as tasks:
            refusal = self._access.refusal("execute", *_caller_of(context))
            watching = tasks.create_task(refusal)
            answering = tasks.create_task(self._answer_stream(request_iterator, context))
            await asyncio.wait({watching, answering}, return_when=asyncio.FIRST_COMPLETED)
            watching.cancel()
            answering.cancel()
        if not watching.cancelled():
            await _abort(context, watching.result())

    async def _answer_stream(
        self, request_iterator: AsyncIterator[wire.ExecuteStreamRequest], context: Context
    ) -> None:
        deadline_s = _deadline_s(context)
        window = asyncio.Semaphore(STREAM_WINDOW)
        # Never full: an entry holds one place of the window until it is written.
        finished: asyncio.Queue[tuple[int, Result] | None] = asyncio.Queue()

        async def read() -> None:
            async for item in request_iterator:
                await window.acquire()  # above the window, HTTP/2 flow control holds the client
                done = self._start(item.request, deadline_s)
                done.add_done_callback(partial(_put, finished, item.tag))
            for _ in range(STREAM_WINDOW):  # all of the window back: nothing is in flight
                await window.acquire()
            finished.put_nowait(None)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            while (entry := await finished.get()) is not None:
                tag, result = entry
                await context.write(wire.ExecuteStreamResponse(tag=tag, result=result_of(result)))
                window.release()

    async def ReportOutcome(
        self, request: wire.ReportOutcomeRequest, context: Context
    ) -> wire.ReportOutcomeResponse:
        try:
            UUID(request.execution_id)
            truth = orjson.loads(request.truth_json)
            await self._outcomes.append(request.task, request.execution_id, truth)
        except orjson.JSONDecodeError as error:
            await _abort(context, InputMalformed(reason=f"truth_json: {error}"))
        except ValueError:
            await _abort(context, ExecutionIdMalformed())
        except LoopaiError as error:
            await _abort(context, error)
        return wire.ReportOutcomeResponse()

    async def ListTasks(
        self, request: wire.ListTasksRequest, context: Context
    ) -> wire.ListTasksResponse:
        tasks = [
            wire.Task(
                name=task.name,
                description=task.manifest.description,
                arms=[
                    wire.Arm(name=a.name, version=a.version, digest=a.digest, weight=a.weight)
                    for a in task.route.arms
                ],
                input_schema_json=orjson.dumps(task.manifest.input_schema),
                output_schema_json=orjson.dumps(task.manifest.output_schema),
            )
            for task in self._executor.tasks()
        ]
        return wire.ListTasksResponse(tasks=tasks)

    def _start(
        self, request: wire.ExecuteRequest, deadline_s: float | None
    ) -> asyncio.Future[Result]:
        """Start one execution; a refusal is a result too, so that a batch goes on."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def reply(result: Result) -> None:
            if not done.cancelled():  # the caller hung up; the execution stays in the log
                done.set_result(result)

        try:
            self._executor.execute(
                Request(
                    task=request.task,
                    input_json=request.input_json,
                    routing_key=request.routing_key,
                    timeout_ms=request.timeout_ms,
                    deadline_s=deadline_s,
                ),
                reply,
            )
        except LoopaiError as error:
            self._counters.count_refusal(error.code)
            reply(error)
        return done


def _put(
    finished: asyncio.Queue[tuple[int, Result] | None], tag: int, done: asyncio.Future[Result]
) -> None:
    finished.put_nowait((tag, done.result()))


def _caller_of(context: Context) -> tuple[dict[bytes, bytes], Peer]:
    """Return what `Access` knows a caller by."""
    headers = {
        key.encode(): value.encode("latin-1")
        for key, value in context.invocation_metadata() or ()
        if isinstance(value, str)
    }
    identities = tuple(context.peer_identities() or ())
    return headers, Peer(address=context.peer(), identities=identities)


def _deadline_s(context: Context) -> float | None:
    remaining_s = context.time_remaining()
    return None if remaining_s is None else asyncio.get_running_loop().time() + remaining_s


async def _abort(context: Context, error: LoopaiError) -> NoReturn:
    trailers = (("grpc-status-details-bin", details_of(error)),)
    await context.abort(STATUS_CODES[status_of(error)], str(error), trailers)
    raise AssertionError("abort does not return")
