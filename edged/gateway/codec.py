"""Protobuf out of executions: what every gRPC door of this gateway says.

Runs in: the gateway. Pure.
"""

from loopai.edge.v1 import edge_pb2 as wire

from edged.datasets.records import Execution
from edged.errors import LoopaiError
from edged.rpc.status import status_of

OUTCOMES = {
    "success": wire.OUTCOME_SUCCESS,
    "error": wire.OUTCOME_ERROR,
    "timeout": wire.OUTCOME_TIMEOUT,
    "memory": wire.OUTCOME_MEMORY,
    "violation": wire.OUTCOME_VIOLATION,
}
Result = Execution | LoopaiError


def response_of(execution: Execution) -> wire.ExecuteResponse:
    """Return the response that tells an execution."""
    if execution.status == "success":
        return wire.ExecuteResponse(
            execution_id=execution.execution_id,
            output_json=execution.output_json,
            outcome=wire.OUTCOME_SUCCESS,
            version=execution.version,
            arm=execution.arm,
            latency_ms=execution.latency_ms,
            confidence=execution.confidence,
        )
    response = wire.ExecuteResponse(
        execution_id=execution.execution_id,
        outcome=OUTCOMES[execution.status],
        version=execution.version,
        arm=execution.arm,
        latency_ms=execution.latency_ms,
        error=wire.ProgramError(type=execution.error_type, message=execution.error_message),
    )
    if execution.status == "timeout":
        response.timeout_cause = (
            wire.TIMEOUT_CAUSE_CALLER if execution.is_cut_by_caller else wire.TIMEOUT_CAUSE_PROGRAM
        )
    return response


def result_of(result: Result) -> wire.ExecuteResult:
    """Return one item of a batch or a stream; a refusal is a result too."""
    if isinstance(result, Execution):
        return wire.ExecuteResult(response=response_of(result))
    error = wire.RequestError(code=status_of(result), reason=result.code, message=str(result))
    return wire.ExecuteResult(error=error)
