"""HTTP/1.1 as bytes on a socket: order, limits, time-outs, ends."""

import asyncio
import contextlib

import pytest

from edged.gateway import http_reader
from edged.rpc.limits import Limits
from tests.edged.gateway.conftest import post, read_answer

OFFER = (  # as Java's client makes it by default, and curl --http2
    b"host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
)


async def test_pipelined_requests_are_answered_in_order(server, talk):
    reader, writer = talk
    writer.write(post("/later", b"1") + post("/b", b"2") + post("/c", b"3"))
    await server.door.asked.wait()

    server.door.waiting.pop()()

    bodies = [(await read_answer(reader))[2] for _ in range(3)]
    assert bodies == [b"POST /later 1", b"POST /b 2", b"POST /c 3"]


async def test_a_long_pipeline_is_answered_whole(talk):
    reader, writer = talk
    count = 500

    writer.write(b"".join(post("/a", b"%d" % number) for number in range(count)))

    bodies = [(await read_answer(reader))[2] for _ in range(count)]
    assert bodies == [b"POST /a %d" % number for number in range(count)]


async def test_chunks_and_an_expectation_are_understood(talk):
    reader, writer = talk
    writer.write(
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"

    writer.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    assert (await read_answer(reader))[2] == b"POST /a abcde"


async def test_a_client_of_http_1_0_is_told_nothing_before_its_answer(talk):
    reader, writer = talk

    writer.write(b"POST /a HTTP/1.0\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
    await asyncio.sleep(0.05)
    writer.write(b"abc")

    status, _, body = await read_answer(reader)
    assert (status, body) == (200, b"POST /a abc")


async def test_a_client_is_told_to_go_on_behind_the_answers_that_are_due(server, talk):
    reader, writer = talk
    writer.write(post("/later", b"1") + post("/a", b"abc", "expect: 100-continue")[:-3])
    await server.door.asked.wait()

    server.door.waiting.pop()()

    assert (await read_answer(reader))[2] == b"POST /later 1"
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    assert (await read_answer(reader))[2] == b"POST /a abc"


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("request_bytes", "body"),
    [
        (b"GET /a HTTP/1.1\r\n" + OFFER + b"\r\n", b"GET /a "),
        (b"POST /a HTTP/1.1\r\n" + OFFER + b"content-length: 3\r\n\r\nabc", b"POST /a abc"),
        (
            b"POST /a HTTP/1.1\r\n"
            + OFFER
            + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"POST /a abc",
        ),
    ],
    ids=["none", "length", "chunks"],
)
async def test_an_offer_to_upgrade_is_not_taken_up(talk, request_bytes, body, size):
    reader, writer = talk

    sent = request_bytes + post("/b", b"2") + request_bytes
    for at in range(0, len(sent), size):
        writer.write(sent[at : at + size])
        await asyncio.sleep(0)

    answers = [await read_answer(reader) for _ in range(3)]
    assert [answer[2] for answer in answers] == [body, b"POST /b 2", body]
    assert all("connection" not in headers for _, headers, _ in answers)


async def test_an_offer_to_upgrade_and_to_close_is_closed(talk):
    reader, writer = talk

    writer.write(b"GET /a HTTP/1.1\r\nconnection: close\r\n" + OFFER + b"\r\n")

    _, headers, body = await read_answer(reader)
    assert (headers["connection"], body, await reader.read()) == ("close", b"GET /a ", b"")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n", 501),
        (b"POST /a HTTP/1.1\r\n" + OFFER + b"content-length: 20000\r\n\r\n", 413),
        (b"POST /a HTTP/1.1\r\n" + OFFER + b"transfer-encoding: x\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 20000\r\n\r\n", 413),
        (
            b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            + 3 * (b"1000\r\n" + b"x" * 4096 + b"\r\n"),
            413,
        ),
        (b"GET /a HTTP/1.1\r\nx: " + b"y" * 4_000, 431),
        (b"GET /" + b"a" * 3_000, 431),
    ],
)
async def test_what_is_wrong_or_too_large_is_refused_and_the_connection_ends(
    server, talk, request_bytes, status
):
    reader, writer = talk

    writer.write(request_bytes)

    found, headers, _ = await read_answer(reader)
    assert (found, headers["connection"]) == (status, "close")


async def test_a_request_that_never_completes_is_ended(server, talk):
    reader, writer = talk

    writer.write(b"POST /a HTTP/1.1\r\nhost:")

    assert (await read_answer(reader))[0] == 408
    assert server.counters.keepalives_unanswered == 1


async def test_an_upload_that_goes_on_may_take_longer_than_a_head(talk):
    reader, writer = talk
    writer.write(post("/a", b"1234567890")[:-10])

    for at in range(10):
        await asyncio.sleep(0.15)
        writer.write(b"1234567890"[at : at + 1])

    assert (await read_answer(reader))[2] == b"POST /a 1234567890"


@pytest.mark.parametrize(("upload_timeout_s", "pause_s"), [(0.5, 0.1), (60.0, 10.0)])
async def test_an_upload_that_takes_too_long_or_stalls_is_ended(
    talk, monkeypatch, upload_timeout_s, pause_s
):
    monkeypatch.setattr(http_reader, "UPLOAD_TIMEOUT_S", upload_timeout_s)
    reader, writer = talk
    writer.write(post("/a", 100 * b"x")[:-100])

    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(read_answer(reader))
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=pause_s)

    assert answer.result()[0] == 408


async def test_a_drain_answers_what_was_asked_and_closes_the_rest(server, talk):
    reader, writer = talk
    idle_reader, idle_writer = await asyncio.open_connection(*server.address)
    writer.write(post("/later", b"1"))
    await server.door.asked.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.stop(10))
        assert await idle_reader.read() == b""
        server.door.waiting.pop()()

    status, headers, body = await read_answer(reader)
    assert (status, headers["connection"], body) == (200, "close", b"POST /later 1")
    idle_writer.close()


async def test_connections_above_the_limit_are_turned_away(server):
    server.limits = Limits(max_connections=0)
    server._listener._limits = server.limits

    reader, writer = await asyncio.open_connection(*server.address)

    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert server.counters.connections_refused == 1
    writer.close()


async def test_what_follows_the_last_answer_of_a_drain_is_not_run(server, talk):
    reader, writer = talk
    server.is_draining = True

    writer.write(post("/a", b"") + post("/b", b"") + post("/c", b""))

    _, headers, body = await read_answer(reader)
    assert (headers["connection"], body, await reader.read()) == ("close", b"POST /a ", b"")
    assert server.door.paths == ["/a"]


async def test_a_door_that_answers_twice_is_heard_once(server, talk):
    reader, writer = talk
    writer.write(post("/later", b"1"))
    await server.door.asked.wait()
    answer = server.door.waiting.pop()
    answer()
    server.door.asked.clear()
    writer.write(post("/later", b"2"))
    await server.door.asked.wait()

    answer()
    server.door.waiting.pop()()

    bodies = [(await read_answer(reader))[2] for _ in range(2)]
    assert bodies == [b"POST /later 1", b"POST /later 2"]
