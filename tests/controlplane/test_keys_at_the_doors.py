"""Keys at every door of a real control plane: made by REST, refused beyond their scope, revoked."""

import asyncio

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from loopai.control.v1 import link_pb2 as pb
from loopai.control.v1.link_pb2_grpc import ControlPlaneServiceStub
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = pytest.mark.processes


@pytest.fixture
def make_key(rest, request):
    """Make a key of a scope; it is named by the test and gone afterwards."""
    made = []

    def make(scope):
        name = f"{request.node.originalname[:40]}-{len(made)}-{scope}"
        answer = rest.post("/api/v1/keys", json={"name": name, "scope": scope})
        assert answer.status_code == 201, answer.text
        made.append(answer.json())
        return made[-1]

    yield make
    for key in made:
        rest.post(f"/api/v1/keys/{key['id']}/revoke")


def bearer(key):
    return (("authorization", f"Bearer {key['key']}"),) if key else ()


async def status_of_enrolling(plane, key):
    async with grpc.aio.insecure_channel(plane.link) as channel:
        call = ControlPlaneServiceStub(channel).Enroll(
            pb.EnrollRequest(name="e"), metadata=bearer(key), timeout=10
        )
        return await call.code(), await call.details()


async def status_of_reflection(plane, key):
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with grpc.aio.insecure_channel(plane.link) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([request]), metadata=bearer(key), timeout=10)
        return await end_of(call)


async def end_of(stream):
    """Read what still comes; a stream has its status behind the last message."""
    try:
        while await asyncio.wait_for(stream.read(), 10) is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as ended:
        return ended.code()
    return await stream.code()


def test_key_is_shown_once(rest, make_key):
    made = make_key("read")

    listed = rest.get("/api/v1/keys").json()["keys"]

    assert made["key"].startswith("loopai_")
    assert made["id"] in {key["id"] for key in listed}
    assert made["key"] not in rest.get("/api/v1/keys").text
    assert all("key" not in key and "hmac" not in key for key in listed)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scope": "root"},
        {"name": "", "scope": "read"},
        {"name": "a b", "scope": "read"},
        {"name": "x"},
    ],
)
def test_wrong_wish_for_a_key_is_refused(rest, body):
    assert rest.post("/api/v1/keys", json=body).status_code == 422


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("read", "GET", "/api/v1/tasks", 200),
        ("read", "POST", "/api/v1/tasks", 403),
        ("read", "GET", "/api/v1/keys", 403),
        ("edge", "GET", "/api/v1/tasks", 403),
        ("edge", "POST", "/api/v1/keys", 403),
        ("admin", "GET", "/api/v1/keys", 200),
    ],
)
def test_rest_asks_for_the_scope(plane, make_key, scope, method, path, status):
    with plane.client(api_key=make_key(scope)["key"]) as client:
        answer = client.request(method, path)

    assert answer.status_code == status
    if status == 403:
        error = answer.json()["error"]
        assert error["code"] == "scope_missing"
        assert f"has the scope '{scope}'" in error["message"]


@pytest.mark.parametrize(
    ("scope", "status"),
    [("edge", "OK"), ("admin", "OK"), ("read", "PERMISSION_DENIED"), (None, "UNAUTHENTICATED")],
)
async def test_link_asks_for_the_scope(plane, make_key, scope, status):
    code, details = await status_of_enrolling(plane, make_key(scope) if scope else None)

    assert code.name == status
    assert status != "PERMISSION_DENIED" or "this needs 'edge'" in details
    assert status != "UNAUTHENTICATED" or "no API key was sent" in details


@pytest.mark.parametrize(
    ("scope", "status"),
    [("read", "OK"), ("edge", "PERMISSION_DENIED"), (None, "UNAUTHENTICATED")],
)
async def test_reflection_is_for_those_who_may_look(plane, make_key, scope, status):
    assert (await status_of_reflection(plane, make_key(scope) if scope else None)).name == status


async def test_revoked_key_is_refused_at_every_door(plane, rest, make_key):
    key = make_key("admin")
    assert rest.post(f"/api/v1/keys/{key['name']}/revoke").json()["revoked_at"]

    with plane.client(api_key=key["key"]) as client:
        answer = client.get("/api/v1/tasks")
    code, details = await status_of_enrolling(plane, key)

    assert answer.status_code == 401
    assert "was revoked" in answer.json()["error"]["message"]
    assert (code, "was revoked" in details) == (grpc.StatusCode.UNAUTHENTICATED, True)
    assert await status_of_reflection(plane, key) is grpc.StatusCode.UNAUTHENTICATED


async def test_revoking_ends_the_streams_that_the_key_holds(plane, rest, make_key):
    revoked, kept = make_key("edge"), make_key("edge")
    async with grpc.aio.insecure_channel(plane.link) as channel:
        ended, other = [await welcomed(channel, key) for key in (revoked, kept)]

        rest.post(f"/api/v1/keys/{revoked['id']}/revoke")

        assert await end_of(ended) is grpc.StatusCode.UNAUTHENTICATED
        assert "was revoked" in await ended.details()
        await other.write(pb.ConnectRequest(status=pb.EdgeStatus()))
        assert not other.done()


async def welcomed(channel, key):
    stub = ControlPlaneServiceStub(channel)
    enrolled = await stub.Enroll(pb.EnrollRequest(name="e"), metadata=bearer(key), timeout=10)
    stream = stub.Connect(metadata=bearer(key), timeout=25)
    hello = pb.Hello(deployment_id=enrolled.deployment_id, instance_id="i")
    await stream.write(pb.ConnectRequest(hello=hello))
    assert (await stream.read()).WhichOneof("message") == "welcome"
    return stream


async def test_revoking_ends_the_websockets_that_the_key_holds(plane, rest, make_key):
    key = make_key("read")
    address = plane.wait_for("controlplane_ready")["http"].replace("http", "ws", 1)
    async with connect(f"{address}/api/v1/events", additional_headers=bearer(key)) as socket:
        rest.post(f"/api/v1/keys/{key['id']}/revoke")

        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 10)

    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3000, "the API key was revoked")


async def test_events_are_for_those_who_may_look(plane, make_key):
    address = plane.wait_for("controlplane_ready")["http"].replace("http", "ws", 1)

    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{address}/api/v1/events", additional_headers=bearer(make_key("edge")))

    assert refused.value.response.status_code == 403
