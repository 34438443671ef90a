"""The one table from error class to gRPC status, and the rich details beside it.

Runs in: the doors of the gateway. Never: decides anything; it translates.
"""

from functools import lru_cache

from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from edged import errors
from edged.pool.errors import PoolFull
from edged.rpc.codes import Code

RETRY_HINT_MS = 50  # where the error itself knows no better

# The first class that matches wins: special before general.
STATUSES: tuple[tuple[type[Exception], Code], ...] = (
    (errors.TaskUnknown, Code.NOT_FOUND),
    (errors.CallerUnknown, Code.UNAUTHENTICATED),
    (errors.CallerForbidden, Code.PERMISSION_DENIED),
    (errors.CallerError, Code.INVALID_ARGUMENT),
    (errors.DeadlinePassed, Code.DEADLINE_EXCEEDED),
    (PoolFull, Code.RESOURCE_EXHAUSTED),
    (errors.PlatformError, Code.UNAVAILABLE),
)


def status_of(error: errors.LoopaiError) -> Code:
    return next(code for family, code in STATUSES if isinstance(error, family))


def details_of(error: errors.LoopaiError) -> bytes:
    """Return a serialised google.rpc.Status for the trailer `grpc-status-details-bin`."""
    retry_ms = int(str(error.facts.get("retry_after_ms", RETRY_HINT_MS)))
    return _details(status_of(error), error.code, str(error), retry_ms if error.retryable else None)


@lru_cache(64)  # who refuses in haste refuses alike
def _details(status: Code, reason: str, message: str, retry_ms: int | None) -> bytes:
    details = [_packed(error_details_pb2.ErrorInfo(reason=reason, domain="loopai"))]
    if retry_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_ms)
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    whole = status_pb2.Status(code=status, message=message, details=details)
    return bytes(whole.SerializeToString())


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
