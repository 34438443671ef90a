"""Size limits and compression, both ways."""

import grpc
import pytest

LIMIT = 10_000
COMPRESSIBLE = b"a" * 100_000
GZIP = grpc.Compression.Gzip


async def echo(request, context):
    return request


async def echo_all(requests, context):
    async for request in requests:
        yield request


async def expand(request, context):
    return bytes(int(request))


async def measure(request, context):
    return str(len(request)).encode()


@pytest.mark.parametrize(("size", "code"), [(LIMIT, "OK"), (LIMIT + 1, "RESOURCE_EXHAUSTED")])
async def test_requests_have_a_limit(serve, connect, size, code):
    served = await serve(unary_unary=measure, options=(("grpc.max_receive_message_length", LIMIT),))
    caller = connect(served.target)

    answer = await caller.call("unary_unary", bytes(size))
    after = await caller.call("unary_unary", b"")

    assert answer.code.name == code
    assert after.message == b"0"  # the connection lives


@pytest.mark.parametrize(("size", "code"), [(LIMIT, "OK"), (LIMIT + 1, "RESOURCE_EXHAUSTED")])
async def test_answers_have_a_limit(serve, connect, size, code):
    served = await serve(unary_unary=expand, options=(("grpc.max_send_message_length", LIMIT),))
    caller = connect(served.target)

    answer = await caller.call("unary_unary", b"%d" % size)
    after = await caller.call("unary_unary", b"3")

    assert answer.code.name == code
    assert after.message == bytes(3)


async def test_without_an_option_four_mebibytes_are_taken(serve, connect):
    served = await serve(unary_unary=measure)
    caller = connect(served.target)

    most = await caller.call("unary_unary", bytes(4 << 20))
    more = await caller.call("unary_unary", bytes((4 << 20) + 1))

    assert most.message == b"%d" % (4 << 20)
    assert more.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_minus_one_takes_any_size(serve, connect):
    served = await serve(unary_unary=measure, options=(("grpc.max_receive_message_length", -1),))

    answer = await connect(served.target).call("unary_unary", bytes(6 << 20))

    assert answer.message == b"%d" % (6 << 20)


async def test_a_compressed_request_is_understood(serve, connect, client):
    served = await serve(unary_unary=measure)

    caller = connect(served.target, client=client, compression=GZIP)
    answer = await caller.call("unary_unary", COMPRESSIBLE)

    assert answer.message == b"100000"


async def test_compressed_streams_are_understood(serve, connect, client):
    served = await serve(stream_stream=echo_all, compression=GZIP)

    caller = connect(served.target, client=client, compression=GZIP)
    answer = await caller.call("stream_stream", COMPRESSIBLE, b"", b"short")

    assert answer.messages == [COMPRESSIBLE, b"", b"short"]


async def test_answers_are_compressed_where_the_server_says_so(serve, connect, client):
    """Seen by its size: the client's own limit applies before and after decompression."""
    served = await serve(unary_unary=echo, compression=GZIP)

    caller = connect(served.target, client=client)
    answer = await caller.call("unary_unary", COMPRESSIBLE)

    assert answer.message == COMPRESSIBLE


async def test_the_limit_holds_after_decompression(serve, connect):
    served = await serve(unary_unary=measure, options=(("grpc.max_receive_message_length", LIMIT),))
    caller = connect(served.target, compression=GZIP)

    answer = await caller.call("unary_unary", b"a" * (LIMIT + 1))
    after = await caller.call("unary_unary", b"a" * LIMIT)

    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert after.message == b"%d" % LIMIT


async def test_deflate_is_understood_as_well(serve, connect):
    served = await serve(unary_unary=measure)

    caller = connect(served.target, compression=grpc.Compression.Deflate)
    answer = await caller.call("unary_unary", COMPRESSIBLE)

    assert answer.message == b"100000" or answer.code is grpc.StatusCode.UNIMPLEMENTED
