"""Who may come in, and how a stream begins and ends."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from loopai.control.v1 import link_pb2 as pb

from controlplane.link.listener import SERVICE
from tests.controlplane.link.sessions import (
    CREDENTIALS,
    STRANGER,
    Home,
    calling,
    connect,
    expect,
    status_of,
)


async def test_enrolling_tells_the_key_to_pin(home, stub):
    answer = await stub.Enroll(pb.EnrollRequest(name="e"), metadata=CREDENTIALS)

    assert answer.signing_public_key == home.signing_key.public.raw
    assert answer.signing_key_id == home.signing_key.public.key_id


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),)])
async def test_nobody_enters_without_a_valid_key(stub, metadata):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Enroll(pb.EnrollRequest(), metadata=metadata)
    stream = stub.Connect(metadata=metadata)

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert await status_of(stream) is grpc.StatusCode.UNAUTHENTICATED


async def test_newer_instance_takes_over_and_the_older_one_is_told(home, stub, edge):
    older = await connect(stub, edge, instance="one")
    await expect(older, "welcome")

    newer = await connect(stub, edge, instance="two")
    await expect(newer, "welcome")

    assert await status_of(older) is grpc.StatusCode.ABORTED
    assert "two" in (await older.details())
    assert home.connections.is_connected(edge)


async def test_edge_that_left_is_no_longer_connected(home, stub, edge):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")
    assert home.connections.is_connected(edge)

    await stream.done_writing()
    code = await status_of(stream)

    assert code is grpc.StatusCode.OK
    assert not home.connections.is_connected(edge)


async def test_silence_instead_of_a_hello_ends_the_stream(stub):
    stream = stub.Connect(metadata=CREDENTIALS)

    assert await status_of(stream) is grpc.StatusCode.INVALID_ARGUMENT
    assert "no hello" in (await stream.details())


@pytest.mark.parametrize(
    "first",
    [
        pb.ConnectRequest(status=pb.EdgeStatus()),
        pb.ConnectRequest(),
        pb.ConnectRequest(hello=pb.Hello(deployment_id="me")),
    ],
)
async def test_wrong_first_message_ends_the_stream(stub, first):
    stream = stub.Connect(metadata=CREDENTIALS)
    await stream.write(first)

    assert await status_of(stream) is grpc.StatusCode.INVALID_ARGUMENT


async def test_stopping_server_tells_its_edges_to_come_again(home, stub, edge):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")

    home.wakeups.close()

    assert await status_of(stream) is grpc.StatusCode.UNAVAILABLE


async def test_a_server_stops_behind_what_its_calls_let_go_of(
    database, blobs, clock, tmp_path, settings, rpc_server
):
    home = Home(database, blobs, clock, tmp_path, settings, rpc_server)
    has_begun, has_ended = asyncio.Event(), asyncio.Event()

    async def greet(*_):
        has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            with suppress(asyncio.CancelledError):  # who stops it may hurry it
                await asyncio.sleep(0.3)  # as a database takes
            has_ended.set()

    home.edges.greet = greet
    async with home.running() as channel, calling(channel) as stub:
        await connect(stub, STRANGER)
        await has_begun.wait()

    assert has_ended.is_set()


async def test_full_server_sends_away_with_a_delay(
    database, blobs, clock, tmp_path, settings, rpc_server
):
    none = replace(settings, max_connections=0)
    full = Home(database, blobs, clock, tmp_path, none, rpc_server)
    async with full.running() as channel, calling(channel) as stub:
        stream = await connect(stub, STRANGER)

        retry = await expect(stream, "retry_after")

    assert retry.delay_ms == settings.retry_after_ms


async def test_too_large_a_message_is_refused(
    database, blobs, clock, tmp_path, settings, rpc_server
):
    small = replace(settings, max_message_bytes=10_000, max_telemetry_bytes=5_000)
    home = Home(database, blobs, clock, tmp_path, small, rpc_server)
    async with home.running() as channel, calling(channel) as stub:
        stream = await connect(stub, STRANGER)
        await stream.write(pb.ConnectRequest(status=pb.EdgeStatus(problems=["x" * 20_000])))

        assert await status_of(stream) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_and_reflection_are_there(channel):
    health = await health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(service=SERVICE)
    )
    listing = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([listing]), metadata=CREDENTIALS
    )
    names = [each.name async for answer in call for each in answer.list_services_response.service]

    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert SERVICE in names
