"""One connected edge: answer what it sends, push the state at every change.

Two tasks for as long as the stream lives: one reads and answers, one pushes. Whoever ends first
ends the other. Runs in: the server. Talks to: fleet, telemetry, artifacts by what it was given.
Never: keeps anything that the database does not hold as well; an edge may reconnect anywhere.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog
from loopai.control.v1 import link_pb2 as pb
from uuid_utils import uuid7

from controlplane.clock import Clock
from controlplane.errors import BlobDamaged, BlobMissing, LinkMisused, Stopping
from controlplane.fleet.connections import Connection
from controlplane.fleet.edges import Edges, Wishes
from controlplane.fleet.targets import FleetState, Targets
from controlplane.link import codec, telemetry_codec
from controlplane.link.questions import QuestionDesk
from controlplane.link.settings import LinkSettings
from controlplane.reviews.questions import Questions
from controlplane.storage.blobs import Blobs
from controlplane.storage.outbox import FLEET, Wakeups
from controlplane.telemetry.erasing import Erasing
from controlplane.telemetry.ingest import Ingest
from edged.artifacts.manifest import Digest
from edged.artifacts.signing import SigningKey

log = structlog.get_logger()

MISSED_HEARTBEATS = 3
RECHECK_S = 30.0  # a wake-up that was lost delays a state by this at most


class Stream(Protocol):
    """The edge's end of the line."""

    async def read(self) -> pb.ConnectRequest | None:
        """Return the next message; None at the end."""

    async def write(self, message: pb.ConnectResponse) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkParts:
    """What every session works with."""

    edges: Edges
    targets: Targets
    ingest: Ingest
    erasing: Erasing
    questions: Questions
    blobs: Blobs
    wakeups: Wakeups
    signing_key: SigningKey
    settings: LinkSettings
    clock: Clock


class Session:
    """A stream after its hello."""

    def __init__(
        self,
        parts: LinkParts,
        stream: Stream,
        connection: Connection,
        hello: pb.Hello,
        organisation_id: str,
    ) -> None:
        self._parts = parts
        self._stream = stream
        self._connection = connection
        self._tasks = frozenset(hello.tasks)
        self._organisation_id = organisation_id
        self._deployment_id = connection.deployment_id
        # gRPC allows one writer at a time.
        self._writing = asyncio.Lock()
        self._desk = QuestionDesk(
            parts.questions, parts.wakeups, self._send, (organisation_id, self._deployment_id)
        )
        self._answers: dict[str, Callable[[pb.ConnectRequest], Awaitable[None]]] = {
            "status": self._on_status,
            "state_report": self._on_state_report,
            "artifact_request": self._on_artifact_request,
            "telemetry": self._on_telemetry,
            "erasure": self._on_erasure,
            "oracle_question": self._desk.on_question,
            "oracle_receipt": self._desk.on_receipt,
        }

    async def run(self) -> None:
        """Serve until the edge leaves.

        Raises LinkMisused, ConnectionReplaced, Unauthenticated (the key was revoked), Stopping.
        """
        settings = self._parts.settings
        welcome = pb.Welcome(
            heartbeat_interval_s=settings.heartbeat_interval_s,
            max_telemetry_bytes=settings.max_telemetry_bytes,
            upload_interval_s=settings.upload_interval_s,
            batches_per_s=settings.batches_per_s,
        )
        await self._send(pb.ConnectResponse(welcome=welcome))
        async with asyncio.TaskGroup() as tasks:
            pushing = tasks.create_task(self._push(), name="push")
            watching = tasks.create_task(self._watch(), name="watch")
            answering = tasks.create_task(self._desk.push(), name="answers")
            await self._answer()
            answering.cancel()
            pushing.cancel()
            watching.cancel()

    async def _answer(self) -> None:
        settings = self._parts.settings
        silence_s = settings.heartbeat_interval_s * MISSED_HEARTBEATS
        while True:
            try:
                message = await asyncio.wait_for(self._stream.read(), silence_s)
            except TimeoutError as error:
                raise LinkMisused(reason=f"silent for {silence_s} s") from error
            if message is None:
                return
            kind = message.WhichOneof("message")
            if kind not in self._answers:
                raise LinkMisused(reason=f"unexpected message: {kind}")
            await self._answers[kind](message)

    async def _push(self) -> None:
        """Send the state now and after every change."""
        sent = None
        with self._parts.wakeups.subscribed(FLEET, self._organisation_id) as changed:
            while not self._parts.wakeups.is_closed:
                changed.clear()
                state = await self._parts.targets.current(self._organisation_id)
                wishes = await self._parts.edges.wishes(self._organisation_id, self._deployment_id)
                if (state, wishes) != sent:
                    await self._send_state(state.restricted_to(self._tasks), wishes)
                    sent = state, wishes
                await _wait(changed, RECHECK_S)
        raise Stopping

    async def _send_state(self, state: FleetState, wishes: Wishes) -> None:
        issued_at = self._parts.clock()
        payload = codec.desired_state(
            state,
            wishes,
            deployment_id=self._deployment_id,
            issued_at=issued_at,
            expires_at=issued_at + timedelta(seconds=self._parts.settings.state_lifetime_s),
        )
        signed = pb.SignedState(
            nonce=str(uuid7()), envelope=self._parts.signing_key.sign_state(payload)
        )
        await self._send(pb.ConnectResponse(state=signed))
        log.info("state_sent", edge=self._deployment_id, sequence=state.sequence)

    async def _watch(self) -> None:
        """Raise why the connection is over, once it is."""
        await self._connection.is_over.wait()
        if self._connection.reason is not None:
            raise self._connection.reason

    async def _on_status(self, message: pb.ConnectRequest) -> None:
        status = message.status
        await self._parts.edges.record_heartbeat(
            self._organisation_id,
            self._deployment_id,
            conditions=codec.conditions(status.tasks),
            batches_pending=min(status.batches_pending, codec.MAX_SEQUENCE),
            problems=[problem[:500] for problem in status.problems[:50]],
        )

    async def _on_state_report(self, message: pb.ConnectRequest) -> None:
        report = message.state_report
        conditions = codec.conditions(report.tasks)
        await self._parts.edges.record_report(
            self._organisation_id,
            self._deployment_id,
            conditions=conditions,
            applied_sequence=min(report.sequence, codec.MAX_SEQUENCE),
            refused=report.refused[:2_000],
            settings_refused=codec.refusals(report.settings_refused),
        )
        if report.refused:
            log.warning("state_refused", edge=self._deployment_id, reason=report.refused[:500])
        for condition in conditions:
            if condition.state == "failed":
                log.warning(
                    "version_failed_at_edge",
                    edge=self._deployment_id,
                    task=condition.task,
                    version=condition.target_version,
                    reason=condition.reason[:500],
                )

    async def _on_artifact_request(self, message: pb.ConnectRequest) -> None:
        request = message.artifact_request
        try:
            content = await self._content(request.digest)
        except (BlobMissing, BlobDamaged, LinkMisused) as error:
            log.warning("artifact_not_sent", edge=self._deployment_id, reason=str(error))
            failure = pb.ArtifactChunk(digest=request.digest, error=str(error))
            await self._send(pb.ConnectResponse(artifact_chunk=failure))
            return
        await self._send_chunks(request.digest, content, request.offset)

    async def _content(self, digest: str) -> bytes:
        if not await self._parts.targets.has_artifact(self._organisation_id, digest):
            raise LinkMisused(reason=f"there is no artifact {digest[:80]}")
        return await self._parts.blobs.get(Digest(digest))

    async def _send_chunks(self, digest: str, content: bytes, offset: int) -> None:
        """Send from `offset` on; the last chunk says so, and is empty where nothing is left."""
        size = self._parts.settings.chunk_bytes
        start = min(offset, len(content))
        while True:
            end = min(start + size, len(content))
            is_last = end == len(content)
            chunk = pb.ArtifactChunk(
                digest=digest, offset=start, data=content[start:end], is_last=is_last
            )
            await self._send(pb.ConnectResponse(artifact_chunk=chunk))
            if is_last:
                return
            start = end

    async def _on_telemetry(self, message: pb.ConnectRequest) -> None:
        telemetry = message.telemetry
        if telemetry.deployment_id != self._deployment_id:
            raise LinkMisused(reason="telemetry.deployment_id: not the one of the hello")
        batch = telemetry_codec.batch(telemetry, received_at=self._parts.clock())
        is_new = await self._parts.ingest.count(self._organisation_id, self._deployment_id, batch)
        log.debug("telemetry_counted", edge=self._deployment_id, number=batch.number, new=is_new)
        acknowledged = pb.TelemetryAck(log_id=batch.log_id, number=batch.number)
        await self._send(pb.ConnectResponse(telemetry_ack=acknowledged))

    async def _on_erasure(self, message: pb.ConnectRequest) -> None:
        erasure = telemetry_codec.erasure(message.erasure)
        erased = await self._parts.erasing.erase(
            self._organisation_id, self._deployment_id, erasure
        )
        log.info(
            "erased", edge=self._deployment_id, erasure=erasure.erasure_id, stored_things=erased
        )
        ack = pb.ErasureAck(erasure_id=erasure.erasure_id, part=erasure.part, erased=erased)
        await self._send(pb.ConnectResponse(erasure_ack=ack))

    async def _send(self, message: pb.ConnectResponse) -> None:
        async with self._writing:
            await self._stream.write(message)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
