"""Read gRPC's channel options into limits. Pure.

An option that this server does not know is an error: silence would look like obedience.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from edged.rpc.limits import NEVER_S, Limits

_FOREVER_MS: Final = 2**31 - 1  # gRPC's way to say never
_DAY_S: Final = 86_400.0


class OptionUnknown(ValueError):
    """An option that this server does not obey."""


def _seconds(milliseconds: int) -> float:
    return NEVER_S if milliseconds >= _FOREVER_MS else milliseconds / 1000


def _size(count: int) -> int:
    return 2**31 - 1 if count < 0 else count  # -1 says unlimited


def _strikes(count: int) -> int:
    return count or 2**31 - 1  # 0 says never


def _handshake_s(milliseconds: int) -> float:
    if milliseconds <= 0:
        raise ValueError("a handshake takes time")
    return min(_seconds(milliseconds), _DAY_S)


_LIMITS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "grpc.max_receive_message_length": ("max_receive_message_bytes", _size),
    "grpc.max_send_message_length": ("max_send_message_bytes", _size),
    "grpc.max_metadata_size": ("max_metadata_bytes", int),
    "grpc.max_concurrent_streams": ("max_concurrent_streams", int),
    "grpc.keepalive_time_ms": ("keepalive_time_s", _seconds),
    "grpc.keepalive_timeout_ms": ("keepalive_timeout_s", _seconds),
    "grpc.keepalive_permit_without_calls": ("keepalive_without_calls", bool),
    "grpc.max_connection_idle_ms": ("max_connection_idle_s", _seconds),
    "grpc.max_connection_age_ms": ("max_connection_age_s", _seconds),
    "grpc.max_connection_age_grace_ms": ("max_connection_age_grace_s", _seconds),
    "grpc.http2.min_ping_interval_without_data_ms": ("min_ping_interval_s", _seconds),
    "grpc.http2.min_recv_ping_interval_without_data_ms": ("min_ping_interval_s", _seconds),
    "grpc.http2.max_ping_strikes": ("max_ping_strikes", _strikes),
    "grpc.http2.max_pings_without_data": ("max_pings_without_data", int),
    "grpc.server_handshake_timeout_ms": ("handshake_timeout_s", _handshake_s),
}
REUSE_PORT: Final = "grpc.so_reuseport"


def read(options: Iterable[tuple[str, Any]], limits: Limits) -> tuple[Limits, bool]:
    """Return the limits with the options applied, and whether ports may be shared.

    Raises OptionUnknown, and ValueError when a value does not fit.
    """
    changes: dict[str, Any] = {}
    shares_port = True
    for name, value in options:
        if name == REUSE_PORT:
            shares_port = bool(value)
        elif name in _LIMITS:
            field, convert = _LIMITS[name]
            try:
                changes[field] = convert(value)
            except (TypeError, ValueError) as error:
                raise ValueError(f"option {name!r} cannot be {value!r}") from error
        else:
            known = ", ".join(sorted([*_LIMITS, REUSE_PORT]))
            raise OptionUnknown(f"unknown option {name!r}; this server knows {known}")
    return replace(limits, **changes), shares_port
