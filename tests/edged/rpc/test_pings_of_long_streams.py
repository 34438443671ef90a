"""A client measures its way to the server by pings, for as long as a stream brings it data."""

import asyncio

import grpc
import pytest

from edged.rpc.guard import Guard, Verdict
from edged.rpc.limits import Counters, Limits
from edged.rpc.server import server

PIECE = b"x" * 64 * 1024
PIECES = 40
PAUSE_S = 0.025  # grpc sends such a ping a few times a second, and only while data comes


async def _trickle(request, context):
    for _ in range(PIECES):
        yield PIECE
        await asyncio.sleep(PAUSE_S)


@pytest.fixture
async def rpc():
    made = server()
    handlers = {"Trickle": grpc.unary_stream_rpc_method_handler(_trickle)}
    made.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("loopai.test.Long", handlers),)
    )
    made.port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    yield made
    await made.stop(None)


async def test_one_long_stream_of_data_is_no_ping_flood(rpc):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{rpc.port}") as channel:
        call = channel.unary_stream("/loopai.test.Long/Trickle")(b"")
        received = [len(piece) async for piece in call]

    assert received == [len(PIECE)] * PIECES
    assert rpc.counters.ping_floods == 0


def test_pings_are_forgiven_with_every_piece_of_data_and_not_without():
    guard = Guard(Limits(), Counters(), now_s=0.0)

    answers = []
    for moment in range(10):
        guard.sent_data()
        answers.append(guard.got_ping(moment / 10))
    unfed = [guard.got_ping(1 + moment / 10) for moment in range(3)]

    assert answers == [True] * 10
    assert unfed == [True, False, False]


def test_a_client_that_is_sent_nothing_is_asked_no_more_often_than_it_may_be():
    limits = Limits(keepalive_time_s=10, max_pings_without_data=2)
    guard = Guard(limits, Counters(), now_s=0.0)
    guard.got_settings(0.0)

    def ask(now_s: float) -> Verdict:
        verdict = guard.judge(now_s, has_calls=True, unsent_bytes=0, is_draining=False)
        guard.got_pong()
        guard.heard_s = now_s
        return verdict

    asked = [ask(now_s) for now_s in (11.0, 22.0, 33.0)]
    guard.sent_data()

    assert asked == [Verdict.PING, Verdict.PING, Verdict.NOTHING]
    assert ask(44.0) is Verdict.PING
