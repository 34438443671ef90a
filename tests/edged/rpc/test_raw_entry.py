"""What a raw handler is told, and what becomes of what it does."""

import asyncio

import pytest

from tests.edged.rpc.conftest import until
from tests.edged.rpc.raw import frame, headers

RAW = b"/loopai.test.Conformance/Raw"
OK, UNKNOWN = 0, 2


@pytest.fixture
async def rpc(serve_ours):
    """A server of ours, and its address in `target`."""
    served = await serve_ours()
    served.server.add_raw_method(RAW.decode(), lambda request, call: call.reply(request))
    served.server.target = served.target
    return served.server


async def test_a_raw_handler_that_fails_costs_its_own_call_alone(rpc, open_raw):
    def fail(request, call):
        raise KeyError("secret")

    rpc.add_raw_method("/loopai.test.Conformance/Fail", fail)
    client = await open_raw(rpc.target)

    seen = await client.call(headers(b"/loopai.test.Conformance/Fail"), frame(b""))
    after = await client.call(headers(RAW), frame(b"hi"))

    assert (seen.status, after.status) == (UNKNOWN, OK)
    assert "secret" not in str(seen.headers)


async def test_a_callback_that_fails_costs_no_other_call_its_end(rpc, open_raw):
    calls = []

    def hold(request, call):
        call.on_cancel = {}.popitem  # raises
        calls.append(call)

    rpc.add_raw_method("/loopai.test.Conformance/Hold", hold)
    client = await open_raw(rpc.target)
    for _ in range(3):
        client.start(headers(b"/loopai.test.Conformance/Hold"), frame(b""))
    await client.flush()
    await until(lambda: len(calls) == 3)

    await client.close()

    await until(lambda: not rpc.counters.connections)
    assert rpc.counters.rpcs == 0


async def test_the_raw_entry_tells_what_a_call_brings(rpc, open_raw):
    seen = {}
    gone = asyncio.Event()

    def hold(request, call):
        seen.update(call.metadata)
        seen["left_s"] = call.deadline_s - asyncio.get_running_loop().time()
        call.on_cancel = gone.set

    rpc.add_raw_method("/loopai.test.Conformance/Hold", hold)
    client = await open_raw(rpc.target)
    head = headers(b"/loopai.test.Conformance/Hold")
    more = [(b"grpc-timeout", b"20S"), (b"x-a", b"1"), (b"x-b-bin", b"AAE=")]
    stream = client.start([*head, *more], frame(b"hi"))
    await client.flush()
    await until(lambda: seen)

    client.http.reset_stream(stream)
    await client.flush()

    await asyncio.wait_for(gone.wait(), 10)
    assert (seen["x-a"], seen["x-b-bin"]) == ("1", b"\x00\x01")
    assert 0 < seen["left_s"] <= 20


async def test_a_raw_failure_carries_code_details_and_trailers(rpc, open_raw):
    def fail(request, call):
        call.fail(5, "nö", (("x-why", "test"),))
        call.reply(b"too late")

    rpc.add_raw_method("/loopai.test.Conformance/Fail", fail)
    client = await open_raw(rpc.target)

    seen = await client.call(headers(b"/loopai.test.Conformance/Fail"), frame(b""))

    assert (seen.status, seen.headers["grpc-message"]) == (5, "n%C3%B6")
    assert seen.headers["x-why"] == "test"
    assert seen.body == b""
