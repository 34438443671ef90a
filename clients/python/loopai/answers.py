"""What a client hands in and gets back; shared by the blocking and the asyncio client.

Pure. Never: imports grpc.
"""

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from loopai.edge.v1 import edge_pb2 as wire

# Only what changes nothing is tried again: a repeated Execute would be a second execution. What
# never reached the edge, gRPC sends again by itself, whatever the method.
_RETRIED = {
    "name": [
        {"service": "loopai.edge.v1.EdgeService", "method": "ListTasks"},
        {"service": "grpc.health.v1.Health", "method": "Check"},
    ],
    "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    },
}
# An edge is near and back within a second; gRPC's defaults would wait that long between attempts.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.service_config", json.dumps({"methodConfig": [_RETRIED]})),
)


class Health(IntEnum):
    """What grpc.health.v1 answers."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3

    def __str__(self) -> str:
        return self.name


def health_service(task: str) -> str:
    """Return the name under which an edge tells its own health, or a task's."""
    return f"loopai.task.{task}" if task else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One execution. outcome: SUCCESS, ERROR, TIMEOUT, MEMORY or VIOLATION.

    output is None and error says why unless the outcome is SUCCESS. latency_ms: at the edge.
    """

    execution_id: str
    outcome: str
    output: Any
    output_json: bytes
    confidence: float | None
    version: int
    arm: str
    latency_ms: float
    error: str

    @property
    def is_success(self) -> bool:
        return self.outcome == "SUCCESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request of a batch that did not run. code: google.rpc.Code; reason: stable word."""

    code: int
    reason: str
    message: str


def write_request(value: Any, task: str, routing_key: str, timeout_ms: int) -> wire.ExecuteRequest:
    """Raises ValueError or TypeError when the value is not JSON."""
    return wire.ExecuteRequest(
        task=task,
        input_json=json.dumps(value, ensure_ascii=False, allow_nan=False).encode(),
        routing_key=routing_key,
        timeout_ms=timeout_ms,
    )


def read_answer(response: wire.ExecuteResponse) -> Answer:
    error = response.error
    return Answer(
        execution_id=response.execution_id,
        outcome=wire.Outcome.Name(response.outcome).removeprefix("OUTCOME_"),
        output=json.loads(response.output_json) if response.output_json else None,
        output_json=response.output_json,
        confidence=response.confidence if response.HasField("confidence") else None,
        version=response.version,
        arm=response.arm,
        latency_ms=response.latency_ms,
        error=f"{error.type}: {error.message}" if error.type else "",
    )


def read_result(result: wire.ExecuteResult) -> Answer | Refusal:
    if result.WhichOneof("result") == "response":
        return read_answer(result.response)
    error = result.error
    return Refusal(code=error.code, reason=error.reason, message=error.message)
