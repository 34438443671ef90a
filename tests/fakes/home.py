"""A control plane in a few lines: enrols, pushes what a test tells it, keeps what came up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import grpc
from loopai.control.v1 import link_pb2 as wire
from loopai.control.v1 import link_pb2_grpc

from edged.artifacts.archive import digest_of
from edged.artifacts.signing import ArtifactStatement, SigningKey

DEPLOYMENT = "00000000-0000-7000-8000-00000000000d"


class FakeHome(link_pb2_grpc.ControlPlaneServiceServicer):
    """Signs with its own key; serves every artifact it was given."""

    def __init__(self) -> None:
        self.key = SigningKey.generate()
        self.hellos: list[wire.Hello] = []
        self.reports: list[wire.StateReport] = []
        self.batches: list[wire.TelemetryBatch] = []
        self.requests: list[wire.ArtifactRequest] = []
        self.erasures: list[wire.ErasureRequest] = []
        self.archives: dict[str, bytes] = {}
        self.chunk_bytes = 1000
        self.is_acknowledging = True
        self.max_telemetry_bytes = 0  # not said
        self.telemetry_arrived = asyncio.Event()
        self.is_alone = asyncio.Event()  # no session is open that could take what is pushed
        self._down: asyncio.Queue[wire.ConnectResponse | None] = asyncio.Queue()
        self._server = grpc.aio.server()
        link_pb2_grpc.add_ControlPlaneServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)

    async def Enroll(self, _request: Any, _context: Any) -> wire.EnrollResponse:  # noqa: N802
        return wire.EnrollResponse(deployment_id=DEPLOYMENT, signing_public_key=self.key.public.raw)

    async def Connect(  # noqa: N802
        self, request_iterator: AsyncIterator[wire.ConnectRequest], context: Any
    ) -> None:
        first = await anext(request_iterator)
        self.hellos.append(first.hello)
        welcome = wire.Welcome(
            heartbeat_interval_s=30, max_telemetry_bytes=self.max_telemetry_bytes
        )
        await context.write(wire.ConnectResponse(welcome=welcome))
        self.is_alone.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._send(context))
                async for message in request_iterator:
                    self._take(message)
                sender.cancel()
        finally:
            self.is_alone.set()

    def push(self, state: wire.DesiredState, *, key: SigningKey | None = None) -> None:
        """Sign a state and send it down."""
        envelope = (key or self.key).sign_state(state.SerializeToString())
        signed = wire.SignedState(nonce=f"n{state.sequence}", envelope=envelope)
        self._down.put_nowait(wire.ConnectResponse(state=signed))

    def hang_up(self) -> None:
        """End the session that is open, or the next one right after its welcome."""
        self._down.put_nowait(None)

    def ask_to_wait(self, delay_ms: int) -> None:
        self._down.put_nowait(
            wire.ConnectResponse(retry_after=wire.RetryAfter(delay_ms=delay_ms, reason="full"))
        )

    def state(self, sequence: int, *tasks: wire.DesiredTask, **fields: Any) -> wire.DesiredState:
        state = wire.DesiredState(
            sequence=sequence, **{"deployment_id": DEPLOYMENT, "tasks": tasks, **fields}
        )
        if not state.HasField("expires_at"):
            state.expires_at.FromDatetime(datetime.now(UTC) + timedelta(days=1))
        return state

    def task(self, name: str, version: int, archive: bytes, **fields: Any) -> wire.DesiredTask:
        """Return a task whose stable version is this archive, signed."""
        digest = digest_of(archive)
        self.archives[digest] = archive
        statement = ArtifactStatement(task=name, version=version, digest=digest)
        wanted = {"signature": self.key.sign_artifact(statement), "digest": digest, **fields}
        return wire.DesiredTask(task=name, stable=wire.DesiredVersion(version=version, **wanted))

    async def _send(self, context: Any) -> None:
        while (message := await self._down.get()) is not None:
            await context.write(message)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "hung up")

    def _take(self, message: wire.ConnectRequest) -> None:
        kind = message.WhichOneof("message")
        if kind == "state_report":
            self.reports.append(message.state_report)
        elif kind == "artifact_request":
            self.requests.append(message.artifact_request)
            self._serve(message.artifact_request)
        elif kind == "erasure":
            self._erase(message.erasure)
        elif kind == "telemetry":
            self.batches.append(message.telemetry)
            self.telemetry_arrived.set()
            if self.is_acknowledging:
                batch = message.telemetry
                ack = wire.TelemetryAck(log_id=batch.log_id, number=batch.number)
                self._down.put_nowait(wire.ConnectResponse(telemetry_ack=ack))

    def _erase(self, erasure: wire.ErasureRequest) -> None:
        ack = wire.ErasureAck(erasure_id=erasure.erasure_id, part=erasure.part, erased=1)
        self.erasures.append(erasure)
        self._down.put_nowait(wire.ConnectResponse(erasure_ack=ack))

    def _serve(self, request: wire.ArtifactRequest) -> None:
        data = self.archives[request.digest]
        for offset in range(request.offset, len(data), self.chunk_bytes):
            chunk = data[offset : offset + self.chunk_bytes]
            message = wire.ArtifactChunk(
                digest=request.digest,
                offset=offset,
                data=chunk,
                is_last=offset + len(chunk) == len(data),
            )
            self._down.put_nowait(wire.ConnectResponse(artifact_chunk=message))
