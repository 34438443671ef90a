"""Call an edge from asyncio.

from loopai import AsyncEdgeClient
async with AsyncEdgeClient("127.0.0.1:50051") as edge:
    answer = await edge.execute({"text": "free prize, call now"}, task="spam")
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from loopai.answers import (
    CHANNEL_OPTIONS,
    Answer,
    Health,
    Refusal,
    health_service,
    read_answer,
    read_result,
    write_request,
)
from loopai.edge.v1 import edge_pb2 as wire
from loopai.edge.v1 import edge_pb2_grpc
from loopai.security import Tls, check_clear, metadata_of

if TYPE_CHECKING:
    from loopai.edge.v1.edge_pb2_grpc import EdgeServiceAsyncStub


class AsyncEdgeClient:
    """Talks to one edge; use it within one event loop. See loopai.client for the arguments.

    Every call raises grpc.aio.AioRpcError when it is refused or the edge is away.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:50051",
        *,
        api_key: str | None = None,
        tls: Tls | None = None,
        insecure: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        """Raises ValueError when the key would travel in clear, OSError: a file cannot be read."""
        check_clear(address, api_key=api_key, is_encrypted=tls is not None, insecure=insecure)
        self._channel = (
            grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            if tls is None
            else grpc.aio.secure_channel(
                address, tls.channel_credentials(), options=CHANNEL_OPTIONS
            )
        )
        self._stub: EdgeServiceAsyncStub = edge_pb2_grpc.EdgeServiceStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)
        self._metadata = metadata_of(api_key)
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def execute(
        self,
        value: Any,
        *,
        task: str = "",
        routing_key: str = "",
        timeout_ms: int = 0,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run one input. timeout_ms: lowers the program's own limit for this call."""
        request = write_request(value, task, routing_key, timeout_ms)
        return read_answer(await self._stub.Execute(request, **self._call(timeout_s)))

    async def execute_batch(
        self, values: Iterable[Any], *, task: str = "", timeout_s: float | None = None
    ) -> list[Answer | Refusal]:
        """Run several inputs; the results stand in the same order."""
        requests = [write_request(value, task, "", 0) for value in values]
        batch = wire.ExecuteBatchRequest(requests=requests)
        response = await self._stub.ExecuteBatch(batch, **self._call(timeout_s))
        return [read_result(result) for result in response.results]

    async def stream(
        self,
        values: Iterable[Any] | AsyncIterable[Any],
        *,
        task: str = "",
        timeout_s: float | None = None,
    ) -> AsyncIterator[tuple[int, Answer | Refusal]]:
        """Run inputs as they come; yield the position of each with its result, as they finish.

        timeout_s: of the whole stream; None: none.
        """
        call = self._stub.ExecuteStream(
            _tagged(values, task), timeout=timeout_s, metadata=self._metadata
        )
        try:
            async for response in call:
                yield response.tag, read_result(response.result)
        finally:
            call.cancel()  # whoever stops reading wants no more of it

    async def report_outcome(self, execution_id: str, truth: Any, *, task: str = "") -> None:
        """Tell what the output should have been."""
        request = wire.ReportOutcomeRequest(
            task=task, execution_id=execution_id, truth_json=json.dumps(truth).encode()
        )
        await self._stub.ReportOutcome(request, **self._call(None))

    async def list_tasks(self) -> list[wire.Task]:
        response = await self._stub.ListTasks(wire.ListTasksRequest(), **self._call(None))
        return list(response.tasks)

    async def health(self, task: str = "") -> Health:
        """Return the edge's health, or a task's; a task that it does not have is NOT_FOUND."""
        request = health_pb2.HealthCheckRequest(service=health_service(task))
        return Health((await self._health.Check(request, **self._call(None))).status)

    def _call(self, timeout_s: float | None) -> Any:
        timeout = self._timeout_s if timeout_s is None else timeout_s
        return {"timeout": timeout, "metadata": self._metadata}


async def _tagged(
    values: Iterable[Any] | AsyncIterable[Any], task: str
) -> AsyncIterator[wire.ExecuteStreamRequest]:
    tag = 0
    async for value in _each(values):
        yield wire.ExecuteStreamRequest(tag=tag, request=write_request(value, task, "", 0))
        tag += 1


async def _each(values: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(values, AsyncIterable):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value
