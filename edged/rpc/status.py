"""The one table from error class to gRPC status, and the rich details beside it.

Runs in: the doors of the gateway. Never: decides anything; it translates.
"""

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from edged import errors
from edged.pool.errors import PoolFull

RETRY_HINT_MS = 50  # a full queue of 1,024 short calls drains in about this time

# The first class that matches wins: special before general.
STATUSES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (errors.TaskUnknown, grpc.StatusCode.NOT_FOUND),
    (errors.CallerError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.DeadlinePassed, grpc.StatusCode.DEADLINE_EXCEEDED),
    (PoolFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.PlatformError, grpc.StatusCode.UNAVAILABLE),
)


def status_of(error: errors.LoopaiError) -> grpc.StatusCode:
    return next(code for family, code in STATUSES if isinstance(error, family))


def details_of(error: errors.LoopaiError) -> bytes:
    """Return a serialised google.rpc.Status for the trailer `grpc-status-details-bin`."""
    reason = error_details_pb2.ErrorInfo(reason=error.code, domain="loopai")
    details = [_packed(reason)]
    if error.retryable:
        delay = duration_pb2.Duration(nanos=RETRY_HINT_MS * 1_000_000)
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    code: int = status_of(error).value[0]
    status = status_pb2.Status(code=code, message=str(error), details=details)
    return bytes(status.SerializeToString())


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
