"""What open calls and their requests hold together is bounded, and who holds most pays for it."""

import asyncio

import ngh2

from edged.rpc.limits import MIB, Limits
from tests.edged.rpc.conftest import until
from tests.edged.rpc.raw import frame, headers

CONSUME = b"/loopai.test.Conformance/stream_unary"
RAW = b"/loopai.test.Conformance/Raw"
LIMIT = MIB
EXHAUSTED = 8


async def echo(request, context):
    return request


async def never_read(requests, context):
    await asyncio.Event().wait()


def all_held(server) -> int:
    return server._held_bytes


async def test_large_unfinished_requests_end_before_a_small_one_is_refused(serve_ours, open_raw):
    served = await serve_ours(unary_unary=echo, limits=Limits(max_received_bytes=LIMIT))
    hostile, honest = await open_raw(served.target), await open_raw(served.target)
    await hostile.until(lambda: hostile.find(ngh2.SettingsReceived))
    part = frame(bytes(400_000))[:250_000]  # of a message, within one window
    streams = [hostile.start(headers(), part, end=False) for _ in range(4)]
    await hostile.flush()
    await until(lambda: all_held(served.server) > 1_000_000)

    body = frame(bytes(200_000))
    stream = honest.start(headers(), body[:150_000], end=False)
    await honest.flush()
    await hostile.until(lambda: any(hostile.seen(one).status is not None for one in streams))
    honest.http.send_data(stream, body[150_000:], end_stream=True)
    await honest.flush()
    await honest.until(lambda: honest.find(ngh2.StreamClosed, stream))

    assert honest.seen(stream).status == 0
    assert {hostile.seen(one).status for one in streams} <= {None, EXHAUSTED}
    assert served.server.counters.received_bytes_refused >= 1


async def test_empty_messages_cost_what_it_takes_to_keep_them(serve_ours, open_raw):
    served = await serve_ours(stream_unary=never_read, limits=Limits(max_received_bytes=LIMIT))
    client = await open_raw(served.target)
    await client.until(lambda: client.find(ngh2.SettingsReceived))

    stream = client.start(headers(CONSUME), frame(b"") * 50_000, end=False)
    await client.flush()
    await client.until(lambda: client.seen(stream).status is not None)

    assert client.seen(stream).status == EXHAUSTED
    await until(lambda: all_held(served.server) == 0)


async def test_calls_that_are_opened_and_never_made_are_bounded(serve_ours, open_raw):
    served = await serve_ours(
        unary_unary=echo, stream_unary=never_read, limits=Limits(max_received_bytes=LIMIT)
    )
    hostile, honest = await open_raw(served.target), await open_raw(served.target)
    await hostile.until(lambda: hostile.find(ngh2.SettingsReceived))
    more = [(b"x-a", b"a" * 8_000)]  # a byte or two on the wire, from the second on

    for _ in range(300):
        hostile.start([*headers(CONSUME), *more], end=False)
    await hostile.flush()
    await until(lambda: served.server.counters.received_bytes_refused)
    answers = [await honest.call(headers(), frame(b"hi")) for _ in range(20)]

    assert [answer.status for answer in answers] == [0] * 20
    assert all_held(served.server) <= LIMIT


async def test_a_complete_request_at_work_is_spared(serve_ours, open_raw):
    working = []
    served = await serve_ours(stream_unary=never_read, limits=Limits(max_received_bytes=LIMIT))
    served.server.add_raw_method(RAW.decode(), lambda _request, call: working.append(call))
    honest, hostile = await open_raw(served.target), await open_raw(served.target)
    await hostile.until(lambda: hostile.find(ngh2.SettingsReceived))
    stream = honest.start([*headers(RAW), (b"x-a", b"a" * 12_000)], frame(b"hi"))
    await honest.flush()
    await until(lambda: working)

    for _ in range(300):
        hostile.start([*headers(CONSUME), (b"x-a", b"a" * 2_000)], end=False)
    await hostile.flush()
    await until(lambda: served.server.counters.received_bytes_refused)
    working[0].reply(b"done")
    await honest.until(lambda: honest.find(ngh2.StreamClosed, stream))

    assert (honest.seen(stream).status, honest.seen(stream).body) == (0, frame(b"done"))


async def test_a_client_on_a_slow_line_gets_all_of_a_large_answer(serve_ours, open_raw):
    """Its window updates are read, however much waits for them; new calls are refused meanwhile."""
    answer = frame(bytes(300_000))
    served = await serve_ours(limits=Limits(max_unsent_bytes=100_000))
    served.server.add_raw_method(RAW.decode(), lambda _request, call: call.reply(answer[5:]))
    client = await open_raw(served.target, reads_by_itself=False)
    stream = client.start(headers(RAW), frame(b""))
    await client.flush()
    await client.until(lambda: client.seen(stream).body)

    (connection,) = served.server._connections
    connection.tick(served.server.loop.time())
    refused = await client.call(headers(RAW), frame(b""))
    given = 0
    while not client.find(ngh2.StreamClosed, stream):
        came = len(client.seen(stream).body)
        client.http.acknowledge_received_data(came - given, stream)
        given = came
        await client.flush()
        await client.turn()
    connection.tick(served.server.loop.time())
    after = client.start(headers(RAW), frame(b""))
    await client.flush()
    await client.until(lambda: client.seen(after).body)

    assert (refused.status, client.seen(stream).body) == (EXHAUSTED, answer)
    assert served.server.counters.rpcs_refused == 1
