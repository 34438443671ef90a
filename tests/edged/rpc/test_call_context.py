"""What a handler can do with its context, and what it learns from it."""

import asyncio
import json

import grpc
import pytest

OK = grpc.StatusCode.OK


async def test_the_deadline_is_seen(serve, connect):
    seen = []

    async def look(request, context):
        seen.append(context.time_remaining())
        return b""

    served = await serve(unary_unary=look)
    caller = connect(served.target)

    await caller.call("unary_unary", b"", timeout=20)
    await caller.call("unary_unary", b"")

    assert 10 < seen[0] < 21  # the client rounds up
    assert seen[1] is None


async def test_the_peer_is_named(serve, connect):
    async def look(request, context):
        return context.peer().encode()

    served = await serve(unary_unary=look)

    answer = await connect(served.target).call("unary_unary", b"")

    kind, host, port = answer.message.decode().split(":")
    assert (kind, host) == ("ipv4", "127.0.0.1")
    assert int(port) != served.port


async def test_without_tls_nobody_is_authenticated(serve, connect):
    seen = []

    async def look(request, context):
        seen.append(context.auth_context().get("x509_common_name"))
        return b""

    served = await serve(unary_unary=look)

    await connect(served.target).call("unary_unary", b"")

    assert seen == [None]


async def test_metadata_keep_their_order_and_repetitions(serve, connect):
    received = []

    async def look(request, context):
        received.extend(
            (key, value) for key, value in context.invocation_metadata() if key.startswith("x-")
        )
        return b""

    served = await serve(unary_unary=look)
    sent = (("x-a", "1"), ("x-b-bin", b"\x00\x01"), ("x-a", "2"), ("x-b-bin", b""))

    await connect(served.target).call("unary_unary", b"", metadata=sent)

    assert sorted(received) == sorted(sent)
    assert [value for key, value in received if key == "x-a"] == ["1", "2"]


async def test_metadata_have_named_parts(serve, connect):
    """Interceptors of others ask for them, such as OpenTelemetry's."""
    received = {}

    async def look(request, context):
        received.update({entry.key: entry.value for entry in context.invocation_metadata()})
        return b""

    served = await serve(unary_unary=look)

    await connect(served.target).call("unary_unary", b"", metadata=(("x-a", "1"),))

    assert received["x-a"] == "1"


async def test_what_carries_the_call_is_not_metadata(serve, connect):
    received = {}

    async def look(request, context):
        received.update(context.invocation_metadata())
        return b""

    served = await serve(unary_unary=look)

    await connect(served.target).call("unary_unary", b"", timeout=5)

    assert {":path", "te", "content-type", "grpc-timeout"}.isdisjoint(received)
    assert "user-agent" in received


async def test_initial_metadata_arrive_before_the_first_message(serve, connect):
    may_answer = asyncio.Event()

    async def slow(request, context):
        await context.send_initial_metadata((("x-initial", "early"),))
        await may_answer.wait()
        yield b"late"

    served = await serve(unary_stream=slow)
    call = connect(served.target).begin("unary_stream", b"")

    initial = await asyncio.wait_for(call.initial(), 10)
    may_answer.set()
    answer = await call.finish()

    assert initial["x-initial"] == "early"
    assert answer.messages == [b"late"]


async def test_read_and_write_instead_of_iterators(serve, connect, client):
    async def talk(_requests, context):
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(request.upper())

    served = await serve(stream_stream=talk)

    answer = await connect(served.target, client=client).call("stream_stream", b"a", b"b", b"c")

    assert (answer.code, answer.messages) == (OK, [b"A", b"B", b"C"])


async def test_a_handler_may_answer_before_the_requests_end(serve, connect):
    async def first(requests, context):
        async for request in requests:
            return request
        return b"none"

    served = await serve(stream_unary=first)
    call = connect(served.target).begin("stream_unary")
    await call.write(b"first")

    answer = await asyncio.wait_for(call.finish(), 10)

    assert (answer.code, answer.message) == (OK, b"first")


async def test_done_callbacks_run_once_the_call_is_over(serve, connect):
    done = asyncio.Event()

    async def answer_at_once(request, context):
        context.add_done_callback(lambda _context: done.set())
        return request

    served = await serve(unary_unary=answer_at_once)

    await connect(served.target).call("unary_unary", b"")

    await asyncio.wait_for(done.wait(), 10)


async def test_every_done_callback_runs_even_where_one_fails(serve_ours, connect):
    done = asyncio.Event()

    async def answer_at_once(request, context):
        context.add_done_callback(lambda _context: {}["no such key"])
        context.add_done_callback(lambda _context: done.set())
        return request

    served = await serve_ours(unary_unary=answer_at_once)
    caller = connect(served.target)

    answers = [await caller.call("unary_unary", b"hi") for _ in range(2)]

    await asyncio.wait_for(done.wait(), 10)
    assert [answer.message for answer in answers] == [b"hi"] * 2


async def test_a_caller_that_disconnects_cancels_its_handlers(serve, connect):
    has_begun, is_cancelled = asyncio.Event(), asyncio.Event()

    async def wait(request, context):
        has_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    served = await serve(unary_unary=wait)
    caller = connect(served.target)
    call = caller.begin("unary_unary", b"")
    await has_begun.wait()

    await caller.close()

    await asyncio.wait_for(is_cancelled.wait(), 10)
    await call.finish()


async def test_a_caller_that_disconnects_cancels_a_read_with_a_limit(serve_ours, connect):
    """Python 3.11's wait_for would give what the read ended with, and lose the cancellation."""
    has_begun, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def read(_requests, context):
        has_begun.set()
        try:
            await asyncio.wait_for(context.read(), 10)
        except BaseException as error:
            ended.set_result(type(error))
            raise

    served = await serve_ours(stream_stream=read)
    caller = connect(served.target)
    call = caller.begin("stream_stream")
    await has_begun.wait()

    await caller.close()

    assert await asyncio.wait_for(ended, 10) is asyncio.CancelledError
    await call.finish()


async def test_calls_above_the_maximum_are_refused_at_once(serve, connect):
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def hold(request, context):
        has_begun.set()
        await may_end.wait()
        return b"held"

    served = await serve(unary_unary=hold, maximum_concurrent_rpcs=1)
    caller = connect(served.target)
    held = caller.begin("unary_unary", b"")
    await has_begun.wait()

    refused = await caller.call("unary_unary", b"")
    may_end.set()
    answer = await held.finish()

    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answer.message == b"held"


@pytest.mark.parametrize("kind_of_call", ["unary_unary", "stream_stream"])
async def test_interceptors_see_the_call_in_order(serve, connect, kind_of_call):
    seen = []

    class Note(grpc.aio.ServerInterceptor):
        def __init__(self, name: str) -> None:
            self.name = name

        async def intercept_service(self, continuation, details):
            seen.append((self.name, details.method, dict(details.invocation_metadata)["x-key"]))
            return await continuation(details)

    async def unary(request, context):
        return request

    async def stream(requests, context):
        async for request in requests:
            yield request

    served = await serve(
        unary_unary=unary, stream_stream=stream, interceptors=(Note("outer"), Note("inner"))
    )

    answer = await connect(served.target).call(kind_of_call, b"hi", metadata=(("x-key", "v"),))

    method = f"/loopai.test.Conformance/{kind_of_call}"
    assert answer.message == b"hi"
    assert seen == [("outer", method, "v"), ("inner", method, "v")]


async def test_an_interceptor_may_refuse_a_call(serve, connect):
    class Bar(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, details):
            async def refuse(request, context):
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

            if "authorization" in dict(details.invocation_metadata):
                return await continuation(details)
            return grpc.unary_unary_rpc_method_handler(refuse)

    async def answer(request, context):
        return b"welcome"

    served = await serve(unary_unary=answer, interceptors=(Bar(),))
    caller = connect(served.target)

    refused = await caller.call("unary_unary", b"")
    taken = await caller.call("unary_unary", b"", metadata=(("authorization", "Bearer key"),))

    assert (refused.code, refused.details) == (grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    assert taken.message == b"welcome"


async def test_registered_methods_serve_beside_generic_handlers(make, connect):
    """Generated `add_…_to_server` functions use this way."""

    async def answer(request, context):
        return json.loads(request)["name"].encode()

    server = make()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_registered_method_handlers("loopai.test.Conformance", {"unary_unary": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    got = await connect(f"127.0.0.1:{port}").call("unary_unary", b'{"name": "x"}')

    assert got.message == b"x"
