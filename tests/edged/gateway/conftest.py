"""The HTTP door as bytes on a socket, on the loop of production and on asyncio's."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from edged.datasets.layout import Layout
from edged.gateway.http_answer import Answer
from edged.gateway.http_server import HttpServer
from edged.rpc.limits import KIB, Limits

LIMITS = Limits(max_receive_message_bytes=10_000, max_metadata_bytes=2_000, handshake_timeout_s=0.5)
BIG_BYTES = 100 * KIB


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


class Echo:
    """Answers with method, path and body; `/later` when it is let go.

    `/x3` is answered with 3 times BIG_BYTES, `/headers` with what came.
    """

    def __init__(self):
        self.waiting = []
        self.asked = asyncio.Event()
        self.paths = []

    def check(self, request):
        """Let everybody send whatever they want."""

    def answer(self, request, respond):
        self.paths.append(request.path)
        answer = Answer(200, self._body(request))
        if request.path == "/later":
            self.waiting.append(lambda: respond(answer))
            self.asked.set()
        else:
            respond(answer)

    def refuse(self, status, code, _message):
        return Answer(status, code.encode())

    def _body(self, request):
        if request.path == "/headers":
            return b" ".join(b"%b=%b" % header for header in request.headers.items())
        if request.path.startswith("/x"):
            return b"x" * BIG_BYTES * int(request.path[2:])
        return b" ".join((request.method, request.path.encode(), request.body))


@pytest.fixture
async def serve():
    """Return a function that starts a server with those limits."""
    running = []

    async def serve(limits=LIMITS, *, door=None, tls=None):
        listener = socket.create_server(("127.0.0.1", 0))
        made = HttpServer(door or Echo(), listener, limits, tls)
        made.address = listener.getsockname()
        running.append((made, tasks.create_task(made.run())))
        await asyncio.sleep(0)
        return made

    async with asyncio.TaskGroup() as tasks:
        yield serve
        for made, task in running:
            await made.stop(0)
            task.cancel()


@pytest.fixture
async def server(serve):
    return await serve()


@pytest.fixture
async def connect():
    """Return a function that opens a connection to a server."""
    opened = []

    async def connect(server):
        reader, writer = await asyncio.open_connection(*server.address, limit=2**20)
        opened.append(writer)
        return reader, writer

    yield connect
    for writer in opened:
        writer.transport.abort()


@pytest.fixture
async def talk(server, connect):
    return await connect(server)


async def read_answer(reader):
    """Return status, headers and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(status.split()[1]), headers, body


def post(path, body, *headers):
    lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until something holds; the test's own timeout bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path / "data")
    layout.state.mkdir(parents=True)
    return layout
