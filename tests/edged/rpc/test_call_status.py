"""How a call ends: what a handler says, and what becomes of what it cannot say."""

from contextlib import suppress

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from tests.edged.rpc.raw import frame, headers


async def test_abort_ends_the_handler_and_sends_trailers(serve, connect):
    reached = []

    async def fail(request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", (("x-why", "test"),))
        reached.append(request)

    served = await serve(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"")

    assert (answer.code, answer.details) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert answer.trailing["x-why"] == "test"
    assert reached == []


async def test_abort_after_messages_keeps_them(serve, connect):
    async def fail(request, context):
        yield b"one"
        yield b"two"
        await context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")

    served = await serve(unary_stream=fail)
    call = connect(served.target).begin("unary_stream", b"")

    first = [await call.read(), await call.read()]
    answer = await call.finish()

    assert first == [b"one", b"two"]
    assert (answer.code, answer.details) == (grpc.StatusCode.DATA_LOSS, "the rest is gone")


async def test_a_status_waits_for_the_first_message_but_not_for_ever(serve_ours, open_raw):
    """Ended before its message is written, a stream is an internal error to grpc.aio's clients."""

    async def fail(requests, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    served = await serve_ours(stream_stream=fail)
    client = await open_raw(served.target)

    statuses = await client.statuses_of_young(headers(b"/loopai.test.Conformance/stream_stream"))

    not_found = grpc.StatusCode.NOT_FOUND.value[0]
    assert statuses == [None, not_found, not_found]


async def test_a_handler_that_is_no_coroutine_may_abort(serve, connect):
    def fail(request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        return b"all is well"

    served = await serve(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"")

    assert (answer.code, answer.details) == (grpc.StatusCode.NOT_FOUND, "no such thing")


async def test_an_abort_is_known_by_its_name(serve, connect):
    caught = []

    async def fail(request, context):
        try:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        except grpc.aio.AbortError as error:
            caught.append(error)
            raise

    served = await serve(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"")

    assert answer.code is grpc.StatusCode.NOT_FOUND
    assert len(caught) == 1


@pytest.mark.parametrize("code", ["NOT_FOUND", None])
async def test_what_is_no_code_is_unknown(serve_ours, connect, code):
    async def fail(request, context):
        context.set_code(code)
        return b""

    served = await serve_ours(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"")

    assert answer.code is grpc.StatusCode.UNKNOWN


async def test_abort_is_the_end_even_where_the_handler_catches_it(serve, connect):
    async def fail(request, context):
        context.set_details("no such thing")
        with suppress(Exception):
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return b"all is well"

    served = await serve(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"")

    assert (answer.code, answer.details) == (grpc.StatusCode.NOT_FOUND, "no such thing")


@pytest.mark.parametrize(
    "entry", [("Bad-Key", "v"), ("x-a", "ö"), ("x-a", 5), ("grpc-status", "0"), ("x-a-bin", None)]
)
async def test_metadata_that_cannot_travel_are_an_internal_error(serve_ours, connect, entry):
    async def fail(request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", (entry,))

    served = await serve_ours(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"", timeout=20)

    assert answer.code is grpc.StatusCode.INTERNAL


async def test_details_without_a_text_form_keep_their_code(serve_ours, connect):
    async def fail(request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such \ud800")

    served = await serve_ours(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"", timeout=20)

    assert (answer.code, answer.details) == (grpc.StatusCode.NOT_FOUND, "no such ?")


async def test_a_handler_may_push_retries_back(serve_ours, open_raw):
    async def fail(request, context):
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "100"),))
        await context.abort(grpc.StatusCode.UNAVAILABLE)

    served = await serve_ours(unary_unary=fail)

    seen = await (await open_raw(served.target)).call(headers(), frame(b""))

    assert (seen.status, seen.headers["grpc-retry-pushback-ms"]) == (14, "100")


async def test_an_exception_keeps_the_status_that_was_set(serve, connect):
    async def fail(request, context):
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_trailing_metadata((("x-why", "test"),))
        raise ValueError("a bug")

    served = await serve(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"")

    assert (answer.code, answer.trailing["x-why"]) == (grpc.StatusCode.DATA_LOSS, "test")


async def test_code_and_details_may_be_set(serve, connect):
    async def judge(request, context):
        context.set_code(grpc.StatusCode.FAILED_PRECONDITION)
        context.set_details("not yet")
        assert (context.code(), context.details()) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "not yet",
        )
        return b""

    served = await serve(unary_unary=judge)

    answer = await connect(served.target).call("unary_unary", b"")

    assert (answer.code, answer.details) == (grpc.StatusCode.FAILED_PRECONDITION, "not yet")


async def test_rich_details_arrive(serve, connect):
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="task_unknown", domain="loopai"))
    status = status_pb2.Status(code=5, message="nö", details=[info])

    async def fail(request, context):
        details = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(grpc.StatusCode.NOT_FOUND, status.message, details)

    served = await serve(unary_unary=fail)

    answer = await connect(served.target).call("unary_unary", b"")

    assert answer.details == "nö"
    received = status_pb2.Status.FromString(answer.trailing["grpc-status-details-bin"])
    assert received == status


async def test_an_exception_of_a_handler_is_unknown(serve, connect, caplog):
    async def fail(request, context):
        raise ValueError("a bug")

    served = await serve(unary_unary=fail)
    caller = connect(served.target)

    answers = [await caller.call("unary_unary", b"") for _ in range(2)]

    assert [answer.code for answer in answers] == [grpc.StatusCode.UNKNOWN] * 2


async def test_an_exception_in_a_stream_is_unknown_after_its_messages(serve, connect):
    async def fail(request, context):
        yield b"one"
        raise ValueError("a bug")

    served = await serve(unary_stream=fail)
    call = connect(served.target).begin("unary_stream", b"")

    first = await call.read()
    answer = await call.finish()

    assert (first, answer.code) == (b"one", grpc.StatusCode.UNKNOWN)
