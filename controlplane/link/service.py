"""The edges' door: Enroll and Connect.

Runs in: the server. Talks to: edges. Never: answers anybody without a valid key, or lets an
internal error's text out; errors become statuses in the one table below.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from loopai.control.v1 import link_pb2 as pb
from loopai.control.v1.link_pb2_grpc import ControlPlaneServiceServicer

from controlplane.access.access import Access
from controlplane.access.scopes import Caller
from controlplane.errors import (
    ConnectionReplaced,
    EdgeUnknown,
    LinkMisused,
    ScopeMissing,
    Stopping,
    Unauthenticated,
)
from controlplane.fleet.connections import Connections
from controlplane.link import codec
from controlplane.link.session import LinkParts, Session
from edged.errors import LoopaiError

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]
_ENDED_S = 5.0  # a database operation's end, not a stream's

STATUSES: dict[type[Exception], grpc.StatusCode] = {
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    ScopeMissing: grpc.StatusCode.PERMISSION_DENIED,
    EdgeUnknown: grpc.StatusCode.NOT_FOUND,
    ConnectionReplaced: grpc.StatusCode.ABORTED,
    LinkMisused: grpc.StatusCode.INVALID_ARGUMENT,
    Stopping: grpc.StatusCode.UNAVAILABLE,
}


class LinkService(ControlPlaneServiceServicer):
    """The service as registered with the server."""

    def __init__(self, parts: LinkParts, access: Access, connections: Connections) -> None:
        self._parts = parts
        self.access = access
        self._connections = connections
        self._running: set[asyncio.Task[Any]] = set()

    async def ended(self) -> None:
        """Wait for the calls that still run, a while at most.

        grpcio's server stops without those it cancelled. One that lets go of the database when the
        loop ends is cancelled once more, and aiosqlite then waits for a thread that has gone.
        """
        if self._running:
            await asyncio.wait(self._running.copy(), timeout=_ENDED_S)

    @asynccontextmanager
    async def _call(self, context: Context) -> AsyncIterator[None]:
        """Translate what ends a call, and have it waited for until it has ended."""
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        async with _translated(context):
            yield

    async def Enroll(self, request: pb.EnrollRequest, context: Context) -> pb.EnrollResponse:
        async with self._call(context):
            caller = await self._caller(context)
            deployment_id = await self._parts.edges.enrol(
                caller.organisation_id,
                deployment_id=request.deployment_id,
                name=request.name[:255],
                edge_version=request.edge_version[:63],
            )
            log.info("edge_enrolled", edge=deployment_id, name=request.name[:255])
            public = self._parts.signing_key.public
            return pb.EnrollResponse(
                deployment_id=deployment_id,
                signing_public_key=public.raw,
                signing_key_id=public.key_id,
            )
        raise AssertionError  # the context translated the error and left

    # grpc.aio takes a coroutine that reads and writes by its context as well as a generator.
    async def Connect(  # type: ignore[override]
        self,
        request_iterator: AsyncIterator[pb.ConnectRequest],
        context: Context,
    ) -> None:
        async with self._call(context):
            caller = await self._caller(context)
            stream = GrpcStream(context)
            hello = await self._hello(stream)
            greeting = codec.greeting(hello)
            await self._parts.edges.greet(caller.organisation_id, greeting)
            if not self._connections.has_room_for(greeting.deployment_id):
                await self._send_away(stream)
                return
            await self._parts.targets.catch_up(caller.organisation_id, greeting.applied_sequence)
            with self._connections.claimed(
                greeting.deployment_id, hello.instance_id[:63], caller.key_id
            ) as connection:
                log.info("edge_connected", edge=greeting.deployment_id)
                try:
                    await Session(
                        self._parts, stream, connection, hello, caller.organisation_id
                    ).run()
                finally:
                    log.info("edge_disconnected", edge=greeting.deployment_id)

    async def _caller(self, context: Context) -> Caller:
        metadata = dict(context.invocation_metadata() or ())
        authorization = metadata.get("authorization")
        caller = await self.access.identify(
            authorization if isinstance(authorization, str) else None
        )
        caller.check("edge")
        return caller

    async def _hello(self, stream: "GrpcStream") -> pb.Hello:
        timeout_s = self._parts.settings.hello_timeout_s
        try:
            message = await asyncio.wait_for(stream.read(), timeout_s)
        except TimeoutError as error:
            raise LinkMisused(reason=f"no hello within {timeout_s:g} s") from error
        if message is None or message.WhichOneof("message") != "hello":
            raise LinkMisused(reason="the first message must be a hello")
        return message.hello

    async def _send_away(self, stream: "GrpcStream") -> None:
        log.warning("link_full", connections=self._parts.settings.max_connections)
        retry = pb.RetryAfter(
            delay_ms=self._parts.settings.retry_after_ms, reason="this server is full"
        )
        await stream.write(pb.ConnectResponse(retry_after=retry))


class GrpcStream:
    """The session's view of a grpc.aio stream."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def read(self) -> pb.ConnectRequest | None:
        message = await self._context.read()
        return None if message is grpc.aio.EOF else message

    async def write(self, message: pb.ConnectResponse) -> None:
        await self._context.write(message)


@asynccontextmanager
async def _translated(context: Context) -> AsyncIterator[None]:
    """Turn errors into statuses, also those that a session's TaskGroup collected."""
    try:
        yield
    except* Exception as group:  # noqa: BLE001 the top of a call: logged, answered
        failure = _first(group)
    else:
        return
    status = STATUSES.get(type(failure), grpc.StatusCode.INTERNAL)
    if status is grpc.StatusCode.INTERNAL:
        log.error("link_broke", exc_info=failure)
        await context.abort(status, "internal error; the log has it")
    code = failure.code if isinstance(failure, LoopaiError) else ""
    log.info("link_refused", peer=context.peer(), code=code, reason=str(failure))
    await context.abort(status, str(failure))


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Return the error that says most: one of ours where there is one."""
    own, other = group.split(LoopaiError)
    found: BaseException | None = own or other
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exception)  # noqa: S101 except* says so
    return found
