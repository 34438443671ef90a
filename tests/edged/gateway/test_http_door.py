"""The HTTP door when something of ours breaks: an answer all the same."""

import json

import pytest
import structlog

from edged.datasets.records import Execution
from edged.gateway.counters import Counters
from edged.gateway.http import HttpDoor
from tests.edged.gateway.conftest import post, read_answer


class Unprintable:
    """An executor whose program failed with a message that no JSON can hold."""

    def execute(self, request, reply):
        reply(
            Execution(
                execution_id="1",
                task=request.task,
                version=1,
                arm="stable",
                input_json=request.input_json,
                error_type="ValueError",
                error_message="\ud800",
            )
        )


def broken():
    raise TypeError("these doors cannot be counted")


@pytest.fixture
def counters():
    return Counters()


@pytest.fixture
async def door_talk(serve, connect, counters):
    """Talk to a real door whose page and whose executor break."""
    door = HttpDoor(Unprintable(), None, counters, None, None, broken)
    return await connect(await serve(door=door))


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", post("/v1/execute/a", b'{"input": 1}')],
    ids=["page", "execution"],
)
async def test_what_we_break_is_answered_logged_and_the_connection_goes_on(
    door_talk, counters, request_bytes
):
    reader, writer = door_talk

    with structlog.testing.capture_logs() as logs:
        writer.write(request_bytes + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        status, _, body = await read_answer(reader)
        after = await read_answer(reader)

    assert (status, json.loads(body)["error"]["code"]) == (500, "internal")
    assert (after[0], after[2]) == (200, b'{"status":"alive"}')
    assert [(line["event"], line["exc_info"]) for line in logs] == [("http_answer_failed", True)]
    assert counters.refused == {"internal": 1}


async def test_an_input_that_nests_too_deeply_is_the_callers_mistake(door_talk):
    reader, writer = door_talk
    nested = b"[" * 300 + b"]" * 300

    writer.write(post("/v1/execute/a", b'{"input": ' + nested + b"}"))

    status, _, body = await read_answer(reader)
    assert (status, json.loads(body)["error"]["code"]) == (400, "input_malformed")
