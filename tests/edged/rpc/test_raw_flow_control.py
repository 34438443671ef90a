"""A slow reader holds its own stream and nobody else; a slow handler bounds what is kept for it."""

import asyncio

import ngh2
from ngh2 import Setting

from tests.edged.rpc.conftest import until
from tests.edged.rpc.raw import frame, headers

CHUNK = bytes(64 << 10)
WINDOW = 64 << 10
STREAM = b"/loopai.test.Conformance/unary_stream"
CONSUME = b"/loopai.test.Conformance/stream_unary"


async def echo(request, context):
    return request


async def test_an_unread_stream_holds_only_itself(serve_ours, open_raw):
    written = []

    async def pour(request, context):
        for number in range(1_000):
            yield CHUNK
            written.append(number)

    served = await serve_ours(unary_stream=pour, unary_unary=echo)
    client = await open_raw(
        served.target, {Setting.INITIAL_WINDOW_SIZE: WINDOW}, reads_by_itself=False
    )
    client.http.set_local_window_size(1 << 24)
    slow = client.start(headers(STREAM), frame(b""))
    await client.flush()
    await client.until(lambda: len(client.seen(slow).body) == WINDOW)

    answers = [await client.call(headers(), frame(b"hi")) for _ in range(20)]
    held = len(written)

    assert [answer.status for answer in answers] == [0] * 20
    assert held < 10  # of a thousand: one window, and what waits for room
    assert len(client.seen(slow).body) == WINDOW

    client.http.acknowledge_received_data(WINDOW, slow)
    await client.flush()
    await client.until(lambda: len(client.seen(slow).body) == 2 * WINDOW)


async def test_a_handler_that_does_not_read_stops_its_client(serve_ours, open_raw):
    may_read = asyncio.Event()

    async def consume(requests, context):
        await may_read.wait()
        return str(sum([len(request) async for request in requests])).encode()

    served = await serve_ours(stream_unary=consume, unary_unary=echo)
    client = await open_raw(served.target)
    total = 64
    stream = client.start(headers(CONSUME), frame(CHUNK) * total)
    await client.flush()

    answers = [await client.call(headers(), frame(b"hi")) for _ in range(20)]
    unsent = client.http.queued_body_size(stream)

    assert [answer.status for answer in answers] == [0] * 20
    sent = total * len(frame(CHUNK)) - unsent
    window = served.server.limits.stream_window_bytes
    assert sent <= window + len(frame(CHUNK))
    assert served.server._held_bytes <= window + len(frame(CHUNK)) + 10_000  # and the call itself

    may_read.set()
    await client.until(lambda: client.find(ngh2.StreamClosed, stream))
    assert client.seen(stream).body == frame(b"%d" % (total * len(CHUNK)))


async def test_a_message_may_be_larger_than_a_window(serve_ours, open_raw):
    served = await serve_ours(unary_unary=echo)
    client = await open_raw(served.target, {Setting.INITIAL_WINDOW_SIZE: WINDOW})
    message = bytes(3 << 20)

    seen = await client.call(headers(), frame(message))

    assert (seen.status, len(seen.body)) == (0, len(frame(message)))


async def test_what_is_held_is_given_back(serve_ours, open_raw):
    served = await serve_ours(unary_unary=echo)
    client = await open_raw(served.target)
    await client.until(lambda: client.find(ngh2.SettingsReceived))
    for _ in range(5):
        stream = client.start(headers(), frame(bytes(200_000))[:150_000], end=False)
        await client.flush()
        await until(lambda: served.server._held_bytes > 100_000)
        client.http.reset_stream(stream)
        await client.flush()
        await until(lambda: served.server._held_bytes == 0)

    assert (await client.call(headers(), frame(b"hi"))).status == 0
    assert served.server.counters.rpcs == 0
