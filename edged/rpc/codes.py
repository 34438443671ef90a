"""gRPC's status codes as numbers, and the error that carries one. Pure; needs no grpcio."""

from enum import IntEnum
from typing import Protocol

Metadata = tuple[tuple[str, str | bytes], ...]


class Code(IntEnum):
    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class StatusCode(Protocol):
    """What `grpc.StatusCode` members are."""

    @property
    def value(self) -> tuple[int, str]: ...


def number_of(code: int | StatusCode) -> int:
    return code if isinstance(code, int) else code.value[0]


class RpcError(Exception):
    """Ends a call with this status; raised by `context.abort` and by whoever admits callers."""

    def __init__(
        self, code: int | StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> None:
        super().__init__(details)
        self.code = number_of(code)
        self.details = details
        self.trailing_metadata = trailing_metadata
