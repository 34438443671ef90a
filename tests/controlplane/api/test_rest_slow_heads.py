"""A client that never finishes a request's head is let go; all others are served."""

import asyncio

import pytest
import uvicorn

from controlplane.api.rest import PromptHttp

WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class ImpatientHttp(PromptHttp):
    head_timeout_s = 0.2


async def app(_scope, _receive, send):
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body"})


@pytest.fixture
async def connect():
    """Return a function that opens a connection to a server of ours."""
    config = uvicorn.Config(
        app, "127.0.0.1", 0, http=ImpatientHttp, lifespan="off", log_config=None
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield lambda: asyncio.open_connection("127.0.0.1", port)
    await server.shutdown()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", WHOLE[:-2], WHOLE + b"GET / HTTP/1.1\r\nho"])
async def test_a_head_that_does_not_end_ends_the_connection(connect, begun):
    reader, writer = await connect()
    writer.write(begun)

    async with asyncio.timeout(5):
        answered = await reader.read()
    writer.close()

    assert answered.count(b"200 OK") == begun.count(WHOLE)


async def test_a_head_that_ends_in_time_is_answered_and_the_connection_stays(connect):
    reader, writer = await connect()
    for _ in range(2):
        for part in (WHOLE[:10], WHOLE[10:]):
            writer.write(part)
            await asyncio.sleep(0.05)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
    writer.close()
