"""Call an edge from asyncio.

from loopai.aio import EdgeClient
async with EdgeClient("127.0.0.1:50051") as edge:
    answer = await edge.execute({"text": "free prize, call now"}, task="spam")
"""

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from loopai.answers import (
    CHANNEL_OPTIONS,
    Answer,
    Refusal,
    read_answer,
    read_result,
    write_request,
)
from loopai.edge.v1 import edge_pb2 as wire
from loopai.edge.v1 import edge_pb2_grpc

if TYPE_CHECKING:
    from loopai.edge.v1.edge_pb2_grpc import EdgeServiceAsyncStub


class EdgeClient:
    """Talks to one edge; use it within one event loop. See loopai.client for the arguments."""

    def __init__(self, address: str = "127.0.0.1:50051", *, timeout_s: float = 10.0) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub: EdgeServiceAsyncStub = edge_pb2_grpc.EdgeServiceStub(self._channel)
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
        """Run one input. Raises grpc.aio.AioRpcError when it is refused or the edge is away."""
        request = write_request(value, task, routing_key, timeout_ms)
        return read_answer(await self._stub.Execute(request, timeout=timeout_s or self._timeout_s))

    async def execute_batch(
        self, values: Iterable[Any], *, task: str = "", timeout_s: float | None = None
    ) -> list[Answer | Refusal]:
        """Run several inputs; the results stand in the same order."""
        requests = [write_request(value, task, "", 0) for value in values]
        batch = wire.ExecuteBatchRequest(requests=requests)
        response = await self._stub.ExecuteBatch(batch, timeout=timeout_s or self._timeout_s)
        return [read_result(result) for result in response.results]

    async def list_tasks(self) -> list[wire.Task]:
        response = await self._stub.ListTasks(wire.ListTasksRequest(), timeout=self._timeout_s)
        return list(response.tasks)
