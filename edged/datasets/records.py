"""One line of the execution log, as the specification names its keys.

Pure. Used by: the gateway (render). Never: parses what it wrote; see follower.
"""

import time
from dataclasses import dataclass

import orjson


@dataclass(slots=True, kw_only=True)
class Execution:
    """One call of a program. Mutable: the gateway fills it in as the call proceeds.

    input_json, output_json: JSON in UTF-8, no newline. latency_ms: from receipt to just before
    the append. status: success, error, timeout, memory or violation.
    """

    execution_id: str
    task: str
    version: int
    arm: str
    input_json: bytes
    routing_key: str = ""
    output_json: bytes = b"null"
    latency_ms: float = 0.0
    status: str = "success"
    confidence: float | None = None
    error_type: str = ""
    error_message: str = ""
    is_cut_by_caller: bool = False


def render(execution: Execution, timestamp: str) -> bytes:
    """Return the execution's line, newline included."""
    line: dict[str, object] = {
        "execution_id": execution.execution_id,
        "input": orjson.Fragment(execution.input_json),
        "output": orjson.Fragment(execution.output_json),
        "latency_ms": execution.latency_ms,
        "timestamp": timestamp,
        "task": execution.task,
        "version": execution.version,
        "arm": execution.arm,
        "status": execution.status,
    }
    if execution.confidence is not None:
        line["confidence"] = execution.confidence
    if execution.routing_key:
        line["routing_key"] = execution.routing_key
    if execution.error_type:
        error = {"type": execution.error_type, "message": execution.error_message}
        if execution.is_cut_by_caller:
            error["cut_by"] = "caller"
        line["error"] = error
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


class Timestamps:
    """Formats wall-clock seconds as 2026-11-23T10:00:00.123Z; a second's text is made once."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def text(self, now_s: float) -> str:
        second = int(now_s)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._prefix}.{int((now_s - second) * 1000):03d}Z"
