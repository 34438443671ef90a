"""The official interoperability cases, each server called by each client of grpcio."""

import asyncio

import grpc
import pytest

from tests.edged.rpc.conftest import until

LARGE_REQUEST = b"271828," + bytes(271_828)
LARGE_RESPONSE = 314_159
REQUEST_SIZES = (27_182, 8, 1_828, 45_904)
RESPONSE_SIZES = (31_415, 9, 2_653, 58_979)


async def echo(request, context):
    return request


async def large(request, context):
    assert len(request) == len(LARGE_REQUEST)
    return bytes(LARGE_RESPONSE)


async def total(requests, context):
    return str(sum([len(request) async for request in requests])).encode()


async def produce(request, context):
    for size in request.split(b","):
        yield bytes(int(size))


async def exchange(requests, context):
    """Answer each message with as many bytes as it asks for."""
    async for request in requests:
        yield bytes(int(request.partition(b",")[0]))


async def test_empty_unary(serve, connect, client):
    served = await serve(unary_unary=echo)

    answer = await connect(served.target, client=client).call("unary_unary", b"")

    assert answer.code is grpc.StatusCode.OK
    assert answer.message == b""


async def test_large_unary(serve, connect, client):
    served = await serve(unary_unary=large)

    answer = await connect(served.target, client=client).call("unary_unary", LARGE_REQUEST)

    assert answer.message == bytes(LARGE_RESPONSE)


async def test_client_streaming(serve, connect, client):
    served = await serve(stream_unary=total)

    answer = await connect(served.target, client=client).call(
        "stream_unary", *(bytes(size) for size in REQUEST_SIZES)
    )

    assert answer.message == b"74922"


async def test_server_streaming(serve, connect, client):
    served = await serve(unary_stream=produce)

    answer = await connect(served.target, client=client).call(
        "unary_stream", ",".join(map(str, RESPONSE_SIZES)).encode()
    )

    assert answer.code is grpc.StatusCode.OK
    assert [len(message) for message in answer.messages] == list(RESPONSE_SIZES)


async def test_ping_pong(serve, connect, client):
    served = await serve(stream_stream=exchange)
    call = connect(served.target, client=client).begin("stream_stream")

    got = []
    for request, response in zip(REQUEST_SIZES, RESPONSE_SIZES, strict=True):
        await call.write(b"%d," % response + bytes(request))
        got.append(len(await call.read()))
    await call.done_writing()
    answer = await call.finish()

    assert got == list(RESPONSE_SIZES)
    assert (answer.code, answer.messages) == (grpc.StatusCode.OK, [])


async def test_full_duplex_without_waiting(serve, connect, client):
    served = await serve(stream_stream=exchange)

    answer = await connect(served.target, client=client).call(
        "stream_stream", *(b"%d," % size for size in RESPONSE_SIZES)
    )

    assert [len(message) for message in answer.messages] == list(RESPONSE_SIZES)


async def test_empty_stream(serve, connect, client):
    served = await serve(stream_stream=exchange)

    answer = await connect(served.target, client=client).call("stream_stream")

    assert (answer.code, answer.messages) == (grpc.StatusCode.OK, [])


async def test_cancel_after_begin(serve, connect, client):
    is_cancelled = asyncio.Event()
    has_begun = asyncio.Event()

    async def wait(requests, context):
        has_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    served = await serve(stream_unary=wait)
    call = connect(served.target, client=client).begin("stream_unary")
    await has_begun.wait()

    call.cancel()
    answer = await call.finish()

    assert answer.code is grpc.StatusCode.CANCELLED
    await asyncio.wait_for(is_cancelled.wait(), 10)


async def test_cancel_after_first_response(serve, connect, client):
    is_cancelled = asyncio.Event()

    async def answer_once(requests, context):
        yield bytes(31_415)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    served = await serve(stream_stream=answer_once)
    call = connect(served.target, client=client).begin("stream_stream")
    await call.write(b"31415," + bytes(27_182))
    first = await call.read()

    call.cancel()
    answer = await call.finish()

    assert len(first) == 31_415
    assert answer.code is grpc.StatusCode.CANCELLED
    await asyncio.wait_for(is_cancelled.wait(), 10)


async def test_timeout_on_sleeping_server(serve, connect, client):
    is_cancelled = asyncio.Event()

    async def sleep(requests, context):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise
        yield b""

    served = await serve(stream_stream=sleep)

    answer = await connect(served.target, client=client).call("stream_stream", b"1", timeout=0.2)

    assert answer.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(is_cancelled.wait(), 10)


@pytest.mark.parametrize("kind_of_call", ["unary_unary", "stream_stream"])
async def test_status_code_and_message(serve, connect, client, kind_of_call):
    async def fail(request, context):
        await context.abort(grpc.StatusCode.UNKNOWN, "test status message")

    async def fail_stream(requests, context):
        assert [request async for request in requests] == [b""]
        await context.abort(grpc.StatusCode.UNKNOWN, "test status message")
        yield b""

    served = await serve(unary_unary=fail, stream_stream=fail_stream)

    answer = await connect(served.target, client=client).call(kind_of_call, b"")

    assert answer.code is grpc.StatusCode.UNKNOWN
    assert answer.details == "test status message"


async def test_special_status_message(serve, connect, client):
    details = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈 and 100 % more\t\n"

    async def fail(request, context):
        await context.abort(grpc.StatusCode.UNKNOWN, details)

    served = await serve(unary_unary=fail)

    answer = await connect(served.target, client=client).call("unary_unary", b"")

    assert (answer.code, answer.details) == (grpc.StatusCode.UNKNOWN, details)


async def test_unimplemented_method(serve, connect, client):
    served = await serve(unary_unary=echo)

    answer = await connect(served.target, client=client).call("unary_stream", b"")

    assert answer.code is grpc.StatusCode.UNIMPLEMENTED


async def test_unimplemented_service(serve):
    served = await serve(unary_unary=echo)

    async with grpc.aio.insecure_channel(served.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/loopai.test.Other/unary_unary")(b"")

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind_of_call", ["unary_unary", "stream_stream"])
async def test_custom_metadata(serve, connect, client, kind_of_call):
    async def reflect(context):
        received = dict(context.invocation_metadata())
        await context.send_initial_metadata((("x-initial", received["x-initial"]),))
        context.set_trailing_metadata((("x-trailing-bin", received["x-trailing-bin"]),))

    async def unary(request, context):
        await reflect(context)
        return request

    async def stream(requests, context):
        await reflect(context)
        async for request in requests:
            yield request

    served = await serve(unary_unary=unary, stream_stream=stream)
    sent = (("x-initial", "test_initial_metadata_value"), ("x-trailing-bin", b"\xab\x00\xff"))

    answer = await connect(served.target, client=client).call(kind_of_call, b"", metadata=sent)

    assert answer.code is grpc.StatusCode.OK
    assert answer.initial["x-initial"] == "test_initial_metadata_value"
    assert answer.trailing["x-trailing-bin"] == b"\xab\x00\xff"


async def test_many_calls_at_once_get_their_own_answers(serve, connect, client):
    served = await serve(unary_unary=echo)
    caller = connect(served.target, client=client)

    answers = await asyncio.gather(
        *(caller.call("unary_unary", str(number).encode()) for number in range(200))
    )

    assert [answer.message for answer in answers] == [str(n).encode() for n in range(200)]


async def test_max_concurrent_streams(serve_ours, connect, client):
    """Streams above the limit wait in the client. The reference refuses one now and then."""
    entered = []
    may_end = asyncio.Event()

    async def hold(request, context):
        entered.append(request)
        await may_end.wait()
        return request

    served = await serve_ours(unary_unary=hold, options=(("grpc.max_concurrent_streams", 2),))
    caller = connect(served.target, client=client)
    calls = [asyncio.ensure_future(caller.call("unary_unary", b"%d" % n)) for n in range(2)]
    await until(lambda: len(entered) == 2)
    late = [asyncio.ensure_future(caller.call("unary_unary", b"%d" % n)) for n in (2, 3)]
    await asyncio.sleep(0.2)  # nothing may happen: there is no condition to wait for
    assert len(entered) == 2

    may_end.set()
    answers = [await call for call in (*calls, *late)]

    assert [answer.message for answer in answers] == [b"0", b"1", b"2", b"3"]
