"""Both ends of the link keep one agreement, whichever server serves it."""

from edged.agent.link import OPTIONS
from edged.rpc import options
from edged.rpc.keepalive import SERVER_OPTIONS, keeping_alive
from edged.rpc.limits import Limits


def test_our_server_and_the_reference_are_told_the_same():
    read, _ = options.read(SERVER_OPTIONS, Limits())

    assert read == keeping_alive(Limits())


def test_edge_pings_less_often_than_home_takes_offence_at():
    told = dict(OPTIONS)
    home = keeping_alive(Limits())

    assert told["grpc.keepalive_time_ms"] > home.min_ping_interval_s * 1_000
    assert told["grpc.keepalive_timeout_ms"] == home.keepalive_timeout_s * 1_000
    assert told["grpc.keepalive_permit_without_calls"] == home.keepalive_without_calls
