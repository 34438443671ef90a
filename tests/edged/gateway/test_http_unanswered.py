"""Bytes of requests that are not answered yet: how many one client, and all, may leave with us."""

import asyncio
import gc
from dataclasses import replace

import pytest

from edged.gateway.http_reader import HttpRequest
from tests.edged.gateway.conftest import LIMITS, post, read_answer, until

CHUNKED = b"POST /headers HTTP/1.1\r\nhost: x\r\nvia: proxy\r\ntransfer-encoding: chunked\r\n\r\n"
NARROW = replace(LIMITS, max_received_bytes=20_000, handshake_timeout_s=30.0)


def begun(size):
    """Return all but the last byte of a request with a body of that size."""
    return post("/a", b"x" * size)[:-1]


async def test_who_goes_beyond_what_all_may_leave_unfinished_is_refused(serve, connect):
    server = await serve(NARROW)
    talks = [await connect(server) for _ in range(3)]
    for _, writer in talks:
        writer.write(begun(8_000))

    statuses = [asyncio.create_task(read_answer(reader)) for reader, _ in talks]
    first, _ = await asyncio.wait(statuses, return_when=asyncio.FIRST_COMPLETED)
    for _, writer in talks:
        writer.write(b"x")
    answers = await asyncio.gather(*statuses)

    assert [task.result()[0] for task in first] == [503]
    assert sorted(status for status, _, _ in answers) == [200, 200, 503]
    assert server.counters.received_bytes_refused == 1


async def test_what_was_answered_refused_or_abandoned_is_no_longer_counted(serve, connect):
    server = await serve(NARROW)

    for round_ in range(4):
        (_, abandoned), (reader, writer) = await connect(server), await connect(server)
        abandoned.write(begun(9_000))
        await until(lambda: server.held_bytes > 9_000)
        writer.write(begun(9_000))
        await until(lambda: server.held_bytes > 18_000)
        abandoned.close()
        await until(lambda: server.held_bytes < 10_000)
        writer.write(b"x" + post("/later", b"y" * 5_000) * 2)
        assert (await read_answer(reader))[0] == 200
        await until(lambda round_=round_: len(server.door.waiting) == round_ + 1)
        writer.close()
        await until(lambda: not server.counters.connections)
        server.door.waiting[-1]()

    assert server.held_bytes == 0
    assert server.counters.received_bytes_refused == 0


@pytest.mark.parametrize("behind", [b"", b"nonsense\r\n\r\n"])
async def test_waiting_requests_are_counted_and_refused_after_the_answer_that_is_due(
    serve, connect, behind
):
    server = await serve(NARROW)
    reader, writer = await connect(server)
    writer.write(post("/later", b""))
    await server.door.asked.wait()

    writer.write(b"".join(post(f"/{number}", b"x" * 9_000) for number in range(3)) + behind)
    await until(lambda: server.counters.received_bytes_refused)
    server.door.waiting.pop()()

    statuses = [(await read_answer(reader))[0] for _ in range(2)]
    assert statuses == [200, 503]
    assert server.door.paths == ["/later"]
    assert server.held_bytes == 0


async def test_few_of_the_shortest_requests_wait(server, talk):
    reader, writer = talk
    count = 3_000

    writer.write(post("/later", b"") + count * b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await server.door.asked.wait()
    alive = sum(isinstance(each, HttpRequest) for each in gc.get_objects())
    server.door.waiting.pop()()

    bodies = [(await read_answer(reader))[2] for _ in range(count + 1)]
    assert alive < 100
    assert bodies == [b"POST /later ", *count * [b"GET / "]]


async def test_a_request_that_begins_behind_another_has_its_time_too(server, talk):
    reader, writer = talk

    writer.write(post("/a", b"1") + b"POST /b HTTP/1.1\r\nhost:")

    statuses = [(await read_answer(reader))[0] for _ in range(2)]
    assert statuses == [200, 408]


async def test_what_is_wrong_is_refused_after_the_answer_that_is_due(server, talk):
    reader, writer = talk
    writer.write(post("/later", b"") + post("/b", b"") + b"nonsense\r\n\r\n")
    await server.door.asked.wait()

    server.door.waiting.pop()()

    answers = [await read_answer(reader) for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 400]
    assert answers[2][1]["connection"] == "close"


async def test_fields_after_the_body_change_no_header(talk):
    reader, writer = talk

    writer.write(CHUNKED + b"1\r\na\r\n0\r\nvia: trailer\r\nauthorization: Bearer x\r\n\r\n")

    assert (await read_answer(reader))[2] == b"host=x via=proxy transfer-encoding=chunked"


@pytest.mark.parametrize(
    "request_bytes",
    [
        CHUNKED + b"1\r\na\r\n0\r\n" + 100 * b"x: y\r\n",
        CHUNKED + b"1\r\na\r\n0\r\nx: " + 4_000 * b"y",
        CHUNKED + b"1;" + 4_000 * b"y",
        b"GET /a HTTP/1.1\r\n" + 100 * b"x: y\r\n",
        4_000 * b"\r\n",
        b"GET /a HTTP/1.1\r\nx: " + 3_000 * b"y" + b"\r\n\r\n",
    ],
    ids=["trailers", "trailer", "extension", "fields", "nothing", "whole"],
)
async def test_more_than_fits_around_a_body_is_refused(server, talk, request_bytes):
    reader, writer = talk

    writer.write(request_bytes)

    assert (await read_answer(reader))[0] == 431
    assert server.counters.metadata_too_large == 1


async def test_a_body_may_come_in_the_smallest_chunks(talk):
    reader, writer = talk

    for _ in range(2):
        writer.write(CHUNKED.replace(b"/headers", b"/a") + 2_000 * b"1\r\nx\r\n" + b"0\r\n\r\n")

    bodies = [(await read_answer(reader))[2] for _ in range(2)]
    assert bodies == 2 * [b"POST /a " + 2_000 * b"x"]
