"""Call an edge from Python: one blocking client, safe to share between threads.

from loopai.client import EdgeClient
with EdgeClient("127.0.0.1:50051") as edge:
    answer = edge.execute({"text": "free prize, call now"}, task="spam")
    print(answer.output, answer.confidence)
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

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


class EdgeClient:
    """Talks to one edge. timeout_s: of each call, unless the call names its own."""

    def __init__(self, address: str = "127.0.0.1:50051", *, timeout_s: float = 10.0) -> None:
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub = edge_pb2_grpc.EdgeServiceStub(self._channel)
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def execute(
        self,
        value: Any,
        *,
        task: str = "",
        routing_key: str = "",
        timeout_ms: int = 0,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run one input. Raises grpc.RpcError when the request is refused or the edge is away.

        timeout_ms: lowers the program's own limit for this call.
        """
        request = write_request(value, task, routing_key, timeout_ms)
        response = self._stub.Execute(request, timeout=timeout_s or self._timeout_s)
        return read_answer(response)

    def execute_batch(
        self, values: Iterable[Any], *, task: str = "", timeout_s: float | None = None
    ) -> list[Answer | Refusal]:
        """Run several inputs; the results stand in the same order."""
        requests = [write_request(value, task, "", 0) for value in values]
        batch = wire.ExecuteBatchRequest(requests=requests)
        response = self._stub.ExecuteBatch(batch, timeout=timeout_s or self._timeout_s)
        return [read_result(result) for result in response.results]

    def list_tasks(self) -> list[wire.Task]:
        response = self._stub.ListTasks(wire.ListTasksRequest(), timeout=self._timeout_s)
        return list(response.tasks)
