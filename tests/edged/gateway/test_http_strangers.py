"""Who may not call: turned away by the HTTP door before a large body is read."""

import json
from hashlib import sha256

import pytest

from edged.errors import TaskUnknown
from edged.gateway.access import Access
from edged.gateway.counters import Counters
from edged.gateway.http import HttpDoor
from tests.edged.gateway.conftest import post, read_answer

LARGE = b'{"input": "' + b"x" * 8_000 + b'"}'
PATH = "/v1/execute/a"


class Nothing:
    """An executor without a task."""

    def execute(self, request, _reply):
        raise TaskUnknown(task=request.task, known="none")


@pytest.fixture
def counters():
    return Counters()


@pytest.fixture
async def guarded_talk(serve, connect, counters, tmp_path):
    """Talk to a real door that asks for keys."""
    path = tmp_path / "callers.yaml"
    entry = {"name": "app", "key_sha256": sha256(b"right").hexdigest(), "scopes": ["execute"]}
    path.write_text(json.dumps({"callers": [entry]}))
    door = HttpDoor(Nothing(), None, counters, None, Access(path), dict)
    return await connect(await serve(door=door))


@pytest.mark.parametrize(
    "framing", [b"content-length: %d\r\n" % len(LARGE), b"transfer-encoding: chunked\r\n"]
)
async def test_a_stranger_is_refused_before_a_large_body_comes(guarded_talk, counters, framing):
    reader, writer = guarded_talk

    writer.write(b"POST /v1/execute/a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n")
    writer.write(b"authorization: Bearer wrong\r\n" + framing + b"\r\n")

    status, headers, body = await read_answer(reader)
    assert (status, headers["connection"]) == (401, "close")
    assert headers["www-authenticate"] == 'Bearer realm="edged"'
    assert json.loads(body)["error"]["code"] == "unauthenticated"
    assert counters.refused == {"unauthenticated": 1}


async def test_a_stranger_with_a_small_body_keeps_the_connection(guarded_talk):
    reader, writer = guarded_talk

    writer.write(post(PATH, b'{"input": 1}') * 2)

    answers = [await read_answer(reader) for _ in range(2)]
    assert [status for status, _, _ in answers] == [401, 401]


async def test_a_known_caller_sends_a_large_body(guarded_talk):
    reader, writer = guarded_talk

    writer.write(post(PATH, LARGE, "authorization: Bearer right"))

    assert (await read_answer(reader))[0] == 404
