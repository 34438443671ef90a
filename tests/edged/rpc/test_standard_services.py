"""grpcio-health-checking and grpcio-reflection, unchanged, on both servers."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


@pytest.fixture
async def checks(serve):
    """A server with health and reflection: its address and the servicer."""
    servicer = health.aio.HealthServicer()
    served = await serve(
        services=(
            lambda server: health_pb2_grpc.add_HealthServicer_to_server(servicer, server),
            lambda server: reflection.enable_server_reflection(
                (HEALTH, reflection.SERVICE_NAME), server
            ),
        )
    )
    return served.target, servicer


async def test_check(checks):
    target, servicer = checks
    await servicer.set("task", NOT_SERVING)

    async with grpc.aio.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        overall = await stub.Check(health_pb2.HealthCheckRequest())
        task = await stub.Check(health_pb2.HealthCheckRequest(service="task"))
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))

    assert (overall.status, task.status) == (SERVING, NOT_SERVING)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_watch_tells_every_change(checks):
    target, servicer = checks

    async with grpc.aio.insecure_channel(target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        first = await watch.read()
        await servicer.set("", NOT_SERVING)
        second = await asyncio.wait_for(watch.read(), 10)
        watch.cancel()

    assert (first.status, second.status) == (SERVING, NOT_SERVING)


async def test_a_sync_client_watches(checks):
    target, servicer = checks

    with grpc.insecure_channel(target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        first = await asyncio.to_thread(next, watch)
        await servicer.set("", NOT_SERVING)
        second = await asyncio.to_thread(next, watch)
        watch.cancel()

    assert (first.status, second.status) == (SERVING, NOT_SERVING)


async def test_reflection_lists_and_describes(checks):
    target, _ = checks

    def look() -> tuple[list[str], list[str]]:
        with grpc.insecure_channel(target) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            described = database.FindFileContainingSymbol(HEALTH)
            return list(database.get_services()), [m.name for m in described.service[0].method]

    services, methods = await asyncio.to_thread(look)

    assert {HEALTH, reflection.SERVICE_NAME} <= set(services)
    assert {"Check", "Watch"} <= set(methods)
