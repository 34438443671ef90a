"""Clients that ask and do not read the answers."""

import asyncio
import socket
from contextlib import suppress
from dataclasses import replace

import pytest

from edged.rpc.limits import KIB, MIB, Limits
from tests.edged.gateway.conftest import BIG_BYTES, LIMITS, post, read_answer, until

IMPATIENT = replace(LIMITS, stalled_timeout_s=0.5)
COUNT = 400


@pytest.fixture
def ask():
    """Return a function that sends bytes on a socket that nobody reads."""
    opened = []

    def ask(server, request_bytes):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        client.connect(server.address)
        opened.append(client)
        client.sendall(request_bytes)
        return client

    yield ask
    for client in opened:
        client.close()


async def test_answers_that_nobody_reads_are_not_made(serve, ask):
    server = await serve()

    client = ask(server, COUNT * b"GET /x1 HTTP/1.1\r\nhost: x\r\n\r\n")
    await until(lambda: server.door.paths)

    assert len(server.door.paths) < COUNT  # which sockets hold a tenth of
    [connection] = server._connections
    assert connection.unsent_bytes < 2 * BIG_BYTES
    client.close()


async def test_a_client_that_reads_late_gets_every_answer(serve, connect):
    server = await serve()
    reader, writer = await connect(server)
    half = COUNT // 2 * b"GET /x1 HTTP/1.1\r\nhost: x\r\n\r\n"
    writer.write(half)
    await until(lambda: any(connection.unsent_bytes for connection in server._connections))

    writer.write(half + post("/a", b"last"))

    sizes = [len((await read_answer(reader))[2]) for _ in range(COUNT)]
    assert set(sizes) == {BIG_BYTES}
    assert (await read_answer(reader))[2] == b"POST /a last"


@pytest.mark.parametrize(
    "request_bytes",
    [
        2 * b"GET /x400 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /x400 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ],
    ids=["goes on", "closes"],
)
async def test_a_client_that_never_reads_is_let_go(serve, ask, request_bytes):
    server = await serve(IMPATIENT)

    ask(server, request_bytes)

    await until(lambda: server.counters.stalled_readers)
    await until(lambda: not server.counters.connections)
    assert server.counters.stalled_readers == 1


async def test_a_client_that_reads_slowly_is_not_let_go(serve, ask):
    server = await serve()
    client = ask(server, b"GET /x400 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    await until(lambda: server.door.paths)
    connection = server._connections.pop()  # looked after by this test
    now_s = asyncio.get_running_loop().time()

    for _ in range(3):
        now_s += 0.9 * LIMITS.stalled_timeout_s
        connection.tick(now_s, idle_timeout_s=75)
        unread = connection.unsent_bytes
        await read_until(client, lambda unread=unread: connection.unsent_bytes < unread)

    assert server.counters.stalled_readers == 0


async def test_when_all_leave_too_much_unread_the_greatest_goes(serve, ask):
    server = await serve(Limits(max_unsent_total_bytes=30 * MIB))
    ask(server, b"GET /x200 HTTP/1.1\r\nhost: x\r\n\r\n")
    await until(lambda: server.door.paths)
    [small] = server._connections

    ask(server, b"GET /x400 HTTP/1.1\r\nhost: x\r\n\r\n")

    await until(lambda: server.counters.stalled_readers)
    await until(lambda: server.counters.connections == 1)
    assert server._connections == {small}


async def read_until(client, condition):
    """Read what there is until something holds."""
    while not condition():
        with suppress(BlockingIOError):
            client.recv(MIB, socket.MSG_DONTWAIT)
        await asyncio.sleep(0)
