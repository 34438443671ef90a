"""How both ends of the link tell a dead connection from a quiet one, so that they agree. Pure.

Either end pings one that it has not heard for a while, also without calls; the server takes offence
only at a client that pings much more often than it was told to.
"""

from dataclasses import replace
from typing import Final

from edged.rpc.limits import Limits

CLIENT_INTERVAL_S: Final = 20
SERVER_INTERVAL_S: Final = 30
ANSWER_WITHIN_S: Final = 10
TOLERATED_INTERVAL_S: Final = 10

CLIENT_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", CLIENT_INTERVAL_S * 1_000),
    ("grpc.keepalive_timeout_ms", ANSWER_WITHIN_S * 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),  # no limit: a quiet link has no data for hours
)
SERVER_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", SERVER_INTERVAL_S * 1_000),
    ("grpc.keepalive_timeout_ms", ANSWER_WITHIN_S * 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", TOLERATED_INTERVAL_S * 1_000),
)


def keeping_alive(limits: Limits) -> Limits:
    """Return the limits with the server's part of the agreement."""
    return replace(
        limits,
        keepalive_time_s=SERVER_INTERVAL_S,
        keepalive_timeout_s=ANSWER_WITHIN_S,
        keepalive_without_calls=True,
        min_ping_interval_s=TOLERATED_INTERVAL_S,
    )
