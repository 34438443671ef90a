"""How connections and servers end without losing a call."""

import asyncio
import socket

import grpc
import pytest
from ngh2 import GoAwayReceived, PingReceived

from edged.rpc import server as make_ours
from scripts.support.rpc.caller import OK as OK_STATUS
from scripts.support.rpc.caller import connect as connect_raw
from scripts.support.rpc.caller import framed
from scripts.support.rpc.rolling import RollingClient
from tests.edged.rpc.conftest import handlers_of, until
from tests.edged.rpc.raw import frame, headers

OK = grpc.StatusCode.OK
METHOD = "/loopai.test.Conformance/unary_unary"


async def echo(request, context):
    return request


class Held:
    """A handler that waits until it may end."""

    def __init__(self) -> None:
        self.has_begun, self.may_end, self.is_cancelled = (asyncio.Event() for _ in range(3))

    async def serve(self, _request, _context):
        self.has_begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.is_cancelled.set()
            raise
        return b"finished"


async def test_running_calls_finish_within_the_grace(serve, connect, client):
    held = Held()
    served = await serve(unary_unary=held.serve)
    call = connect(served.target, client=client).begin("unary_unary", b"")
    await held.has_begun.wait()

    stopping = asyncio.ensure_future(served.server.stop(20))
    await asyncio.sleep(0.05)
    held.may_end.set()
    answer = await call.finish()
    await stopping

    assert (answer.code, answer.message) == (OK, b"finished")


async def test_after_the_grace_handlers_are_cancelled(serve, connect):
    held = Held()
    served = await serve(unary_unary=held.serve)
    call = connect(served.target).begin("unary_unary", b"")
    await held.has_begun.wait()

    await served.server.stop(0.1)
    answer = await call.finish()

    assert answer.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    await asyncio.wait_for(held.is_cancelled.wait(), 10)


async def test_a_drain_says_goaway_and_answers_what_it_took(serve):
    held = Held()
    served = await serve(unary_unary=held.serve)
    caller = await connect_raw(served.target, METHOD)
    statuses, told = [], asyncio.Event()
    caller.on_closing = told.set
    caller.call(framed(b""), lambda call: statuses.append(call.status))
    caller.flush()
    await held.has_begun.wait()

    stopping = asyncio.ensure_future(served.server.stop(20))
    await asyncio.wait_for(told.wait(), 10)
    held.may_end.set()
    await asyncio.wait_for(caller.closed, 10)
    await stopping

    assert statuses == [OK_STATUS]


async def test_an_idle_connection_is_closed_by_a_drain(serve, open_raw):
    served = await serve(unary_unary=echo)
    client = await open_raw(served.target)
    await client.call(headers(), frame(b""))

    await served.server.stop(20)
    await client.until_ended()

    assert client.find(GoAwayReceived).error_code == 0


async def test_rolling_restarts_lose_no_call():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    async def start():
        server = make_ours()
        server.add_generic_rpc_handlers((handlers_of({"unary_unary": echo}),))
        server.add_listener(listener.dup())
        await server.start()
        return server

    server = await start()
    client = RollingClient(f"127.0.0.1:{port}", METHOD)
    is_over = False

    async def call_steadily():
        while not is_over:
            await client.call(framed(b"x"))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(call_steadily())
        for _restart in range(5):
            before = len(client.taken_ms)
            await until(lambda: len(client.taken_ms) >= before + 50)  # noqa: B023 awaited here
            await server.stop(5)
            server = await start()
        is_over = True
    await client.close()
    await server.stop(0)
    listener.close()

    assert client.failed == {}
    assert client.connections >= 6


async def test_an_old_connection_is_replaced_without_a_failure(serve, connect):
    ports = set()

    async def look(request, context):
        ports.add(context.peer())
        return request

    served = await serve(
        unary_unary=look,
        options=(
            ("grpc.max_connection_age_ms", 100),
            ("grpc.max_connection_age_grace_ms", 5_000),
        ),
    )
    caller = connect(served.target)

    codes = set()
    while len(ports) < 3:
        codes.add((await caller.call("unary_unary", b"")).code)

    assert codes == {OK}


async def test_an_idle_connection_may_be_closed(serve, open_raw):
    served = await serve(unary_unary=echo, options=(("grpc.max_connection_idle_ms", 200),))
    client = await open_raw(served.target)
    await client.call(headers(), frame(b""))

    assert await client.until(lambda: client.find(GoAwayReceived))


async def test_a_silent_peer_is_asked_and_then_let_go(serve_ours, open_raw):
    served = await serve_ours(
        unary_unary=echo,
        options=(("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 100)),
    )
    client = await open_raw(served.target)
    client.flush = _write_nothing  # from now on no ping is answered

    await client.until_ended()

    assert client.find(PingReceived)


async def test_a_peer_that_answers_pings_is_kept(serve_ours, open_raw):
    served = await serve_ours(
        unary_unary=echo,
        options=(("grpc.keepalive_time_ms", 50), ("grpc.keepalive_timeout_ms", 5_000)),
    )
    client = await open_raw(served.target)

    await client.until(lambda: sum(isinstance(e, PingReceived) for e in client.events) >= 5)
    answer = await client.call(headers(), frame(b"hi"))

    assert answer.status == 0


async def _write_nothing() -> None:
    """Be a peer that has gone silent."""


@pytest.mark.parametrize("grace_s", [0, None])
async def test_stop_without_grace_ends_at_once(serve, connect, grace_s):
    held = Held()
    served = await serve(unary_unary=held.serve)
    call = connect(served.target).begin("unary_unary", b"")
    await held.has_begun.wait()

    await asyncio.wait_for(served.server.stop(grace_s), 10)
    answer = await call.finish()

    assert answer.code is not OK
