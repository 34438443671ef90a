"""Call an edge from Python: one blocking client, safe to share between threads.

from loopai import EdgeClient, Tls
with EdgeClient("edge.example.com:50051", api_key=key, tls=Tls(ca=Path("ca.pem"))) as edge:
    answer = edge.execute({"text": "free prize, call now"}, task="spam")
    print(answer.output, answer.confidence)
"""

import json
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

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


class EdgeClient:
    """Talks to one edge. Every call raises grpc.RpcError when it is refused or the edge is away.

    address: host:port or unix:/path. api_key: of the edge's callers. tls: encrypt; `Tls()` trusts
    the authorities known to all. insecure: permit the key in clear to another machine. timeout_s:
    of each call, unless the call names its own.
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
            grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
            if tls is None
            else grpc.secure_channel(address, tls.channel_credentials(), options=CHANNEL_OPTIONS)
        )
        self._stub = edge_pb2_grpc.EdgeServiceStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)
        self._metadata = metadata_of(api_key)
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
        """Run one input. timeout_ms: lowers the program's own limit for this call."""
        request = write_request(value, task, routing_key, timeout_ms)
        return read_answer(self._stub.Execute(request, **self._call(timeout_s)))

    def execute_batch(
        self, values: Iterable[Any], *, task: str = "", timeout_s: float | None = None
    ) -> list[Answer | Refusal]:
        """Run several inputs; the results stand in the same order."""
        requests = [write_request(value, task, "", 0) for value in values]
        batch = wire.ExecuteBatchRequest(requests=requests)
        response = self._stub.ExecuteBatch(batch, **self._call(timeout_s))
        return [read_result(result) for result in response.results]

    def stream(
        self, values: Iterable[Any], *, task: str = "", timeout_s: float | None = None
    ) -> Iterator[tuple[int, Answer | Refusal]]:
        """Run inputs as they come; yield the position of each with its result, as they finish.

        timeout_s: of the whole stream; None: none.
        """
        requests = (
            wire.ExecuteStreamRequest(tag=tag, request=write_request(value, task, "", 0))
            for tag, value in enumerate(values)
        )
        call = self._stub.ExecuteStream(requests, timeout=timeout_s, metadata=self._metadata)
        try:
            for response in call:
                yield response.tag, read_result(response.result)
        finally:
            call.cancel()  # whoever stops reading wants no more of it

    def report_outcome(self, execution_id: str, truth: Any, *, task: str = "") -> None:
        """Tell what the output should have been."""
        request = wire.ReportOutcomeRequest(
            task=task, execution_id=execution_id, truth_json=json.dumps(truth).encode()
        )
        self._stub.ReportOutcome(request, **self._call(None))

    def list_tasks(self) -> list[wire.Task]:
        return list(self._stub.ListTasks(wire.ListTasksRequest(), **self._call(None)).tasks)

    def health(self, task: str = "") -> Health:
        """Return the edge's health, or a task's; a task that it does not have is NOT_FOUND."""
        request = health_pb2.HealthCheckRequest(service=health_service(task))
        return Health(self._health.Check(request, **self._call(None)).status)

    def _call(self, timeout_s: float | None) -> Any:
        timeout = self._timeout_s if timeout_s is None else timeout_s
        return {"timeout": timeout, "metadata": self._metadata}
