"""What is on the wire is checked on the wire: malformed requests, limits, defences."""

import asyncio
import gzip

import ngh2
import pytest

from edged.rpc import server as make_ours
from scripts.support.rpc import frames
from tests.edged.rpc.conftest import until
from tests.edged.rpc.raw import PATH, frame, headers

RAW = b"/loopai.test.Conformance/Raw"
OK, UNIMPLEMENTED, INTERNAL, RESOURCE_EXHAUSTED = 0, 12, 13, 8


async def echo(request, context):
    return request


async def first(requests, context):
    async for request in requests:
        return request
    return b"none"


@pytest.fixture
async def rpc():
    """A server of ours with a raw method that echoes, and its address in `target`."""
    from tests.edged.rpc.conftest import handlers_of

    server = make_ours(
        options=(
            ("grpc.max_receive_message_length", 100_000),
            ("grpc.max_metadata_size", 4_096),
            ("grpc.max_concurrent_streams", 20),
        )
    )
    server.add_generic_rpc_handlers((handlers_of({"unary_unary": echo, "stream_unary": first}),))
    server.add_raw_method(RAW.decode(), lambda request, call: call.reply(request))
    server.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield server
    await server.stop(0)


@pytest.fixture(params=[PATH, RAW], ids=["task", "raw"])
def path(request) -> bytes:
    """Both entries of a unary method."""
    return request.param


async def send(target: str, data: bytes) -> bytes:
    """Write bytes on a fresh connection and return all that came until it was closed."""
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    try:
        return await reader.read(-1)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_good_call_has_the_headers_of_grpc(rpc, open_raw, path):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path), frame(b"hi"))

    assert (seen.status, seen.body) == (OK, frame(b"hi"))
    assert seen.headers[":status"] == "200"
    assert seen.headers["content-type"] == "application/grpc"
    assert "gzip" in seen.headers["grpc-accept-encoding"]


@pytest.mark.parametrize("cut", [1, 4, 5, 6])
async def test_a_message_may_come_in_any_pieces(rpc, open_raw, path, cut):
    client = await open_raw(rpc.target)
    body = frame(b"hello")
    stream = client.start(headers(path), body[:cut], end=False)
    await client.flush()
    await asyncio.sleep(0)
    client.http.send_data(stream, body[cut:], end_stream=True)
    await client.flush()

    await client.until(lambda: client.find(ngh2.StreamClosed, stream))

    assert client.seen(stream).body == frame(b"hello")


@pytest.mark.parametrize(
    "given", [None, b"text/plain", b"application/grpc-web", b"application/grpcx"]
)
async def test_a_wrong_content_type_is_unsupported(rpc, open_raw, path, given):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path, content_type=given), frame(b""))

    assert seen.headers[":status"] == "415"


@pytest.mark.parametrize(
    "given", [b"application/grpc", b"application/grpc+proto", b"application/grpc;v=1"]
)
async def test_a_content_type_may_name_the_encoding(rpc, open_raw, path, given):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path, content_type=given), frame(b"x"))

    assert seen.status == OK


async def test_get_is_no_call(rpc, open_raw, path):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path, method=b"GET"))

    assert seen.headers[":status"] in {"405", "415"}


async def test_without_te_a_call_is_served(rpc, open_raw, path):
    """Proxies drop it; the reference is as lenient."""
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path, te=None), frame(b"x"))

    assert seen.status == OK


@pytest.mark.parametrize("wrong", [b"/", b"/x", b"//", b"/loopai.test.Conformance", b"/\xff/y"])
async def test_an_unknown_path_is_unimplemented(rpc, open_raw, wrong):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(wrong), frame(b""))

    assert seen.status == UNIMPLEMENTED


@pytest.mark.parametrize("wrong", [b"", b"5", b"S", b"-1S", b"5x", b"123456789S", b"1.5S"])
async def test_a_bad_timeout_is_refused(rpc, open_raw, path, wrong):
    client = await open_raw(rpc.target)

    seen = await client.call([*headers(path), (b"grpc-timeout", wrong)], frame(b""))

    assert seen.status == INTERNAL
    assert "grpc-timeout" in seen.headers["grpc-message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"\0\0", INTERNAL), (b"\0\0\0\0\x05hel", INTERNAL), (b"", UNIMPLEMENTED)],
)
async def test_a_request_that_ends_too_early_is_refused(rpc, open_raw, path, body, status):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path), body)

    assert seen.status == status


async def test_two_messages_are_one_too_many(rpc, open_raw, path):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path), frame(b"one") + frame(b"two"))

    assert seen.status in {INTERNAL, UNIMPLEMENTED}


async def test_a_compressed_message_needs_an_encoding(rpc, open_raw, path):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path), frame(gzip.compress(b"hi"), flag=1))

    assert seen.status == INTERNAL


async def test_an_unknown_encoding_names_the_known_ones(rpc, open_raw, path):
    client = await open_raw(rpc.target)

    seen = await client.call([*headers(path), (b"grpc-encoding", b"snappy")], frame(b"hi", 1))

    assert seen.status == UNIMPLEMENTED
    assert "gzip" in seen.headers["grpc-accept-encoding"]


@pytest.mark.parametrize(
    "packed",
    [b"not gzip", gzip.compress(b"hello")[:-9], gzip.compress(b"hello") + b"more"],
    ids=["other", "cut off", "too long"],
)
async def test_a_broken_compressed_message_is_refused(rpc, open_raw, path, packed):
    client = await open_raw(rpc.target)

    head = [*headers(path), (b"grpc-encoding", b"gzip")]
    seen = await client.call(head, frame(packed, flag=1))

    assert seen.status == INTERNAL


async def test_a_bad_flag_is_refused(rpc, open_raw, path):
    client = await open_raw(rpc.target)

    seen = await client.call(headers(path), frame(b"hi", flag=7))

    assert seen.status == INTERNAL


async def test_bad_base64_in_metadata_is_refused(rpc, open_raw):
    client = await open_raw(rpc.target)

    seen = await client.call([*headers(), (b"x-bin", b"!!!")], frame(b""))

    assert seen.status == INTERNAL


async def test_a_large_message_is_refused_by_its_prefix(rpc, open_raw, path):
    """Before it is sent: a hundred bytes of a gigabyte are enough."""
    client = await open_raw(rpc.target)
    stream = client.start(headers(path), b"\0\x40\0\0\0" + bytes(100), end=False)
    await client.flush()

    await client.until(lambda: client.seen(stream).status is not None)

    assert client.seen(stream).status == RESOURCE_EXHAUSTED
    assert rpc.counters.messages_too_large == 1


async def test_a_bomb_is_refused_after_decompression(rpc, open_raw, path):
    client = await open_raw(rpc.target)
    bomb = gzip.compress(bytes(10 << 20))

    seen = await client.call([*headers(path), (b"grpc-encoding", b"gzip")], frame(bomb, flag=1))

    assert seen.status == RESOURCE_EXHAUSTED
    assert rpc.counters.messages_too_large == 1


async def test_a_refusal_waits_for_the_first_message_but_not_for_ever(rpc, open_raw, path):
    """Ended before its message is written, a stream is an internal error to grpc.aio's clients."""
    client = await open_raw(rpc.target)

    statuses = await client.statuses_of_young([*headers(path), (b"grpc-encoding", b"snappy")])

    assert statuses == [None, UNIMPLEMENTED, UNIMPLEMENTED]


async def test_large_metadata_are_refused_and_the_connection_lives(rpc, open_raw, path):
    client = await open_raw(rpc.target)

    refused = await client.call([*headers(path), (b"x-a", b"b" * 5_000)], frame(b""))
    after = await client.call(headers(path), frame(b"hi"))

    assert refused.status == RESOURCE_EXHAUSTED
    assert after.status == OK
    assert rpc.counters.metadata_too_large == 1


async def test_the_longest_timeout_is_as_good_as_none(rpc, open_raw, path):
    client = await open_raw(rpc.target)

    seen = await client.call([*headers(path), (b"grpc-timeout", b"99999999H")], frame(b"hi"))

    assert (seen.status, seen.body) == (OK, frame(b"hi"))


FIELDS = frames.call_fields(PATH.decode())
PING = frames.frame(frames.PING, bytes(8))
MORE = frames.frame(frames.CONTINUATION, frames.packed([(b"x-a", b"b")]), stream=1)
FLOODS = {
    "settings_floods": frames.settings({3: 9}) * 300,
    "acknowledgement_floods": PING * 10_000,
    "rapid_resets": b"".join(
        frames.headers(FIELDS, stream) + frames.reset(stream) for stream in range(1, 6_000, 2)
    ),
    "continuation_floods": frames.frame(frames.HEADERS, frames.packed([(b"x-a", b"b")]), stream=1)
    + MORE * 100,
    "protocol_errors": frames.frame(frames.DATA, b"x", stream=9),
}


@pytest.mark.parametrize("counter", FLOODS)
async def test_a_flood_ends_its_connection_alone_and_is_counted_once(rpc, open_raw, counter):
    neighbour = await open_raw(rpc.target)

    await send(rpc.target, frames.greeting() + FLOODS[counter])
    answer = await neighbour.call(headers(), frame(b"hi"))

    assert getattr(rpc.counters, counter) == 1
    assert answer.status == OK


USELESS = {
    "unknown": frames.frame(0x77, b"x"),
    "empty": frames.frame(frames.DATA, b"", stream=1),
}


@pytest.mark.parametrize("useless", USELESS)
async def test_a_flood_of_useless_frames_ends_its_connection_and_is_counted(rpc, useless):
    call = frames.headers(FIELDS, 1)

    await send(rpc.target, frames.greeting() + call + USELESS[useless] * 12_000)

    assert rpc.counters.protocol_errors == 1


async def test_no_ping_is_too_early_where_strikes_are_not_counted(serve_ours, open_raw):
    served = await serve_ours(unary_unary=echo, options=(("grpc.http2.max_ping_strikes", 0),))
    client = await open_raw(served.target)

    for _ in range(5):
        client.http.ping(bytes(8))
    answer = await client.call(headers(), frame(b"hi"))

    assert answer.status == OK


async def test_impatient_pings_end_the_connection(rpc):
    last_words = await send(rpc.target, frames.greeting() + PING * 5)

    assert rpc.counters.ping_floods == 1
    assert b"too_many_pings" in last_words


async def test_what_is_no_http2_is_closed(rpc):
    answer = await send(rpc.target, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"HTTP/1.1 200" not in answer
    assert rpc.counters.prefaces_missing == 1


async def test_a_connection_that_never_greets_is_closed(serve_ours):
    served = await serve_ours(
        unary_unary=echo, options=(("grpc.server_handshake_timeout_ms", 100),)
    )

    assert await send(served.target, b"") is not None
    assert served.server.counters.prefaces_missing == 1


async def test_a_header_block_that_never_completes_ends_the_connection(serve_ours):
    served = await serve_ours(
        unary_unary=echo,
        options=(("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 100)),
    )

    await send(served.target, frames.greeting() + b"\x00\x10\x00\x01\x04\x00\x00\x00\x01\x10")

    assert served.server.counters.keepalives_unanswered == 1


async def test_calls_above_the_streams_of_a_connection_end_it(rpc):
    calls = b"".join(frames.headers(FIELDS, stream) for stream in range(1, 61, 2))

    await send(rpc.target, frames.greeting() + calls)

    assert rpc.counters.protocol_errors == 1
    await until(lambda: rpc.counters.rpcs == 0)
