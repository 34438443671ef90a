"""The websocket door, by a real client, in front of a real server."""

import asyncio
import contextlib
import json
import socket as sockets
from collections.abc import AsyncIterator
from types import SimpleNamespace
from uuid import uuid4

import pytest
import uvicorn
import websockets
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus

from controlplane.access.access import Access
from controlplane.api import events
from controlplane.api.doorkeeper import Doorkeeper
from controlplane.hub import hub as hubs
from controlplane.hub.hub import Hub
from controlplane.storage.events import Event
from controlplane.storage.keys import KeyFolder
from controlplane.tasks.catalog import Tasks
from tests.controlplane.processes import API_KEY

PROGRAM = "def run(input_data):\n    return 'ham'\n"
HEADERS = {"Authorization": f"Bearer {API_KEY}"}


class Server(uvicorn.Server):
    """Uvicorn that leaves the test's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


class Door:
    """The door, its hub and its address."""

    def __init__(self, hub, port):
        self.hub = hub
        self.address = f"ws://127.0.0.1:{port}/api/v1/events"

    def connect(self, query="", *, headers=HEADERS, **settings):
        return websockets.connect(self.address + query, additional_headers=headers, **settings)

    async def until_left(self):
        async with asyncio.timeout(10):
            while self.hub._subscribers:  # noqa: ASYNC110 # the hub tells nobody of a leave
                await asyncio.sleep(0.01)


@pytest.fixture
async def door(database, clock, tmp_path) -> AsyncIterator[Door]:
    keys = KeyFolder(tmp_path / "keys")
    keys.prepare()
    access = Access(database, keys, clock)
    await access.ensure_first_key(API_KEY)

    async def figures(organisation_id, task):
        return {}

    hub = Hub(figures, clock, queued=4)
    app = FastAPI()
    app.state.parts = SimpleNamespace(hub=hub, tasks=Tasks(database, clock))
    app.add_middleware(Doorkeeper, access=access)
    app.include_router(events.router, prefix="/api/v1")
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="off",
        ws="websockets-sansio",
        ws_ping_interval=0.05,
        ws_per_message_deflate=False,
    )
    server = Server(config)
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve([listener]))
            yield Door(hub, listener.getsockname()[1])
            hub.close()
            server.should_exit = True


@pytest.fixture
def tell(door, clock):
    def tell(number, *, task="spam", kind="OnTicket", **content):
        door.hub.publish(
            Event(
                kind=kind,
                organisation_id="default",
                task=task,
                at=clock(),
                content={"number": number} | content,
            )
        )

    return tell


async def received(client):
    return json.loads(await asyncio.wait_for(client.recv(), 10))


async def refusal(connecting):
    with pytest.raises(InvalidStatus) as refused:
        await connecting
    answer = refused.value.response
    return answer.status_code, json.loads(answer.body)["error"]


async def test_follower_receives_json_events(door, tell):
    async with door.connect() as client:
        tell(7)

        message = await received(client)

    assert message == {
        "event": "OnTicket",
        "task": "spam",
        "at": "2026-11-23T10:00:00.000Z",
        "number": 7,
    }


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_stranger_is_turned_away_before_the_websocket_opens(door, headers):
    status, error = await refusal(door.connect(headers=headers))

    assert (status, error["code"]) == (401, "unauthenticated")


async def test_key_in_the_address_opens_nothing(door):
    status, _ = await refusal(door.connect(f"?ticket={API_KEY}&api_key={API_KEY}", headers={}))

    assert status == 401


async def test_query_selects_tasks_and_kinds(door, tell, task):
    async with door.connect(f"?task={task.id}&kind=OnTicket&kind=OnRolloutStep") as client:
        tell(1, task="another")
        tell(2, kind="OnAlertTriggered")
        tell(3, kind="OnRolloutStep")

        assert (await received(client))["number"] == 3


async def test_unknown_task_or_kind_is_refused_in_words(door):
    task_status, task_error = await refusal(door.connect("?task=none"))
    kind_status, kind_error = await refusal(door.connect("?kind=OnRain"))

    assert (task_status, task_error["code"]) == (404, "task_unknown")
    assert (kind_status, kind_error["field"]) == (422, "kind")
    assert "OnRolloutStep" in kind_error["message"]


async def test_one_follower_too_many_is_asked_to_come_back(door, monkeypatch):
    monkeypatch.setattr(hubs, "MAX_SUBSCRIBERS", 0)

    status, error = await refusal(door.connect())

    assert (status, error["retryable"]) == (503, True)


async def test_client_that_sends_something_is_told_that_nothing_is_taken(door):
    async with door.connect() as client:
        await client.send("hello")

        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), 10)

    assert closed.value.rcvd.code == 1003


async def test_stopping_server_says_so(door):
    async with door.connect() as client:
        door.hub.close()

        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), 10)

    assert closed.value.rcvd.code == 1001


async def test_follower_that_left_is_forgotten(door, tell):
    async with door.connect() as client:
        tell(1)
        await received(client)

    await door.until_left()


async def test_slow_follower_loses_the_oldest_and_holds_up_nobody(door, tell):
    body = "x" * 300_000
    async with (
        door.connect(max_queue=1, ping_interval=None) as slow,
        door.connect(max_queue=1_000) as quick,
    ):
        for number in range(100):
            tell(number, body=body)
            assert (await received(quick))["number"] == number

        missed, last = 0, -1
        while last < 99:
            message = await received(slow)
            missed += message.get("dropped", 0)
            assert message["number"] == last + 1 + message.get("dropped", 0)
            last = message["number"]

    assert missed > 0


async def test_follower_that_never_reads_is_let_go(door, tell, monkeypatch):
    monkeypatch.setattr(events, "SEND_TIMEOUT_S", 0.2)
    monkeypatch.setattr(events, "CLOSE_TIMEOUT_S", 0.1)
    body = "x" * 3_000_000
    async with door.connect(max_queue=1, ping_interval=None, close_timeout=0.1) as client:
        for number in range(8):
            tell(number, body=body)
            await asyncio.sleep(0.01)

        await door.until_left()
        client.transport.abort()


async def test_quiet_follower_is_pinged_and_kept(door, tell):
    async with door.connect(ping_interval=None) as client:
        await asyncio.sleep(0.2)  # four pings of the server
        tell(5)

        assert (await received(client))["number"] == 5


@pytest.mark.processes
async def test_new_version_is_told_to_followers_of_the_running_control_plane(plane, rest):
    name = f"t-{uuid4().hex[:12]}"
    rows = [{"text": "a", "label": "ham"}, {"text": "b", "label": "spam"}]
    made = await asyncio.to_thread(
        rest.post, "/api/v1/tasks", json={"name": name, "examples": rows}
    )
    assert made.status_code == 201
    address = str(rest.base_url.copy_with(scheme="ws")).rstrip("/") + f"/api/v1/events?task={name}"
    async with websockets.connect(address, additional_headers=HEADERS) as client:
        path = f"/api/v1/artifacts/{name}/upload"
        for activate in (False, True):
            await asyncio.to_thread(
                rest.post, path, content=PROGRAM.encode(), params={"activate": activate}
            )

        first, second = await received(client), await received(client)

    assert (first["event"], first["version"], first["status"]) == (
        "OnNewArtifactAvailable",
        1,
        "validated",
    )
    assert (second["version"], second["status"]) == (2, "active")
    assert second["digest"].startswith("sha256:")
