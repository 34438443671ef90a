"""Addresses, inherited sockets, options, life and death of a server."""

import asyncio
import socket

import grpc
import pytest

from edged.rpc import server as make_ours
from tests.edged.rpc.conftest import handlers_of

OK = grpc.StatusCode.OK


async def echo(request, context):
    return request


async def test_a_unix_socket(serve, connect, client, tmp_path):
    seen = []

    async def look(request, context):
        seen.append(context.peer())
        return request

    served = await serve(f"unix:{tmp_path / 's'}", unary_unary=look)

    answer = await connect(served.target, client=client).call("unary_unary", b"hi")

    assert answer.message == b"hi"
    assert seen[0].startswith("unix:")


async def test_a_unix_socket_that_is_served_is_taken_from_nobody(serve_ours, tmp_path):
    path = tmp_path / "s"
    living = make_ours()
    living.add_insecure_port(f"unix:{path}")

    with pytest.raises(OSError, match="in use"):
        make_ours().add_insecure_port(f"unix:{path}")
    await living.start()
    await living.stop(0)
    successor = make_ours()

    assert successor.add_insecure_port(f"unix:{path}") == 0
    await successor.stop(0)


async def test_a_server_is_made_with_the_words_of_the_reference(make, connect):
    server = make(
        migration_thread_pool=None,
        handlers=(handlers_of({"unary_unary": echo}),),
        interceptors=None,
        options=None,
        maximum_concurrent_rpcs=None,
        compression=None,
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    answer = await connect(f"127.0.0.1:{port}").call("unary_unary", b"hi")

    assert answer.message == b"hi"


async def test_several_addresses_of_one_server(make, connect, tmp_path):
    server = make()
    server.add_generic_rpc_handlers((handlers_of({"unary_unary": echo}),))
    ports = [server.add_insecure_port("127.0.0.1:0") for _ in range(2)]
    await server.start()

    answers = [await connect(f"127.0.0.1:{p}").call("unary_unary", b"x") for p in ports]

    assert len(set(ports)) == 2
    assert [answer.message for answer in answers] == [b"x", b"x"]


async def test_a_taken_port_is_an_error(serve, make):
    served = await serve(unary_unary=echo, options=(("grpc.so_reuseport", 0),))

    with pytest.raises((RuntimeError, OSError)):
        make(options=(("grpc.so_reuseport", 0),)).add_insecure_port(served.target)


async def test_two_servers_may_share_a_port(serve, make, connect):
    first = await serve(unary_unary=echo, options=(("grpc.so_reuseport", 1),))

    second = make(options=(("grpc.so_reuseport", 1),))

    assert second.add_insecure_port(first.target) == first.port


async def test_an_inherited_socket(connect):
    """As systemd and the supervisor hand one down: bound and listening."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = make_ours()
    server.add_generic_rpc_handlers((handlers_of({"unary_unary": echo}),))
    server.add_listener(listener)
    await server.start()

    answer = await connect(f"127.0.0.1:{listener.getsockname()[1]}").call("unary_unary", b"hi")
    await server.stop(0)

    assert answer.message == b"hi"


async def test_connections_wait_in_the_inherited_socket_for_the_successor(connect):
    listener = socket.create_server(("127.0.0.1", 0))
    target = f"127.0.0.1:{listener.getsockname()[1]}"

    async def start():
        server = make_ours()
        server.add_generic_rpc_handlers((handlers_of({"unary_unary": echo}),))
        server.add_listener(listener.dup())
        await server.start()
        return server

    first = await start()
    before = await connect(target).call("unary_unary", b"1")
    await first.stop(0)

    # Channels share connections: another one would be given the first, which is about to close.
    other = connect(target, options=(("grpc.use_local_subchannel_pool", 1),))
    waiting = asyncio.ensure_future(other.call("unary_unary", b"2", timeout=20))
    await asyncio.sleep(0.05)  # the connection is in the backlog now, or comes later: both must do
    second = await start()
    after = await waiting
    await second.stop(0)
    listener.close()

    assert (before.message, after.message) == (b"1", b"2")


@pytest.mark.parametrize(
    "option",
    [
        ("grpc.no_such_thing", 1),
        ("grpc.max_receive_message_length", "many"),
        ("grpc.server_handshake_timeout_ms", 0),
    ],
)
async def test_an_option_that_would_do_nothing_is_an_error(option):
    with pytest.raises((ValueError, TypeError), match=option[0]):
        make_ours(options=(option,))


async def test_wait_for_termination_ends_with_stop(serve):
    served = await serve(unary_unary=echo)
    waiting = asyncio.ensure_future(served.server.wait_for_termination())
    await asyncio.sleep(0)
    assert not waiting.done()

    await served.server.stop(0)

    await asyncio.wait_for(waiting, 10)


async def test_stop_may_be_called_twice(serve):
    served = await serve(unary_unary=echo)

    await served.server.stop(None)
    await served.server.stop(None)


async def test_a_stopped_server_takes_no_connection(serve, connect):
    served = await serve(unary_unary=echo)
    await served.server.stop(0)

    answer = await connect(served.target).call("unary_unary", b"", timeout=5)

    assert answer.code is grpc.StatusCode.UNAVAILABLE
