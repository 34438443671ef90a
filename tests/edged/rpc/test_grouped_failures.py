"""A handler that works with a group of tasks: what ends one of them ends the call, as itself."""

import asyncio

import pytest
from structlog.testing import capture_logs

from edged.rpc import server as make_ours
from edged.rpc.codes import Code
from tests.edged.rpc.conftest import handlers_of
from tests.edged.rpc.raw import frame, headers

PATH = b"/loopai.test.Conformance/stream_unary"


async def read_in_a_group(requests, context):
    async def read():
        async for request in requests:
            if request == b"refuse":
                await context.abort(Code.INVALID_ARGUMENT, "refused")
            if request == b"fail":
                raise KeyError

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
    return b"done"


@pytest.fixture
async def target():
    """A server of ours with that handler."""
    server = make_ours()
    server.add_generic_rpc_handlers((handlers_of({"stream_unary": read_in_a_group}),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield address
    await server.stop(0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (frame(b"refuse"), Code.INVALID_ARGUMENT),
        (frame(b"refuse")[:-1], Code.INTERNAL),  # the stream ends within a message
    ],
)
async def test_what_a_client_did_is_told_as_such_and_not_logged(open_raw, target, body, status):
    client = await open_raw(target)

    with capture_logs() as logs:
        seen = await client.call(headers(PATH), body)

    assert (seen.status, logs) == (status, [])


async def test_a_failure_of_the_handler_is_logged(open_raw, target):
    client = await open_raw(target)

    with capture_logs() as logs:
        seen = await client.call(headers(PATH), frame(b"fail"))

    assert seen.status == Code.UNKNOWN
    assert seen.headers["grpc-message"] == "Unexpected KeyError"
    assert [line["event"] for line in logs] == ["rpc_handler_failed"]
