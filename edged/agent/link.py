"""Keep one stream to the control plane: enrol, connect, and connect again.

Runs in: the agent. Talks to: the control plane over gRPC. Never: stops the edge from serving;
without a connection everything waits on disk, and the next attempt comes after a jittered delay.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import structlog
from loopai.control.v1 import link_pb2 as wire
from loopai.control.v1 import link_pb2_grpc
from loopai.security import Tls

from edged.agent.identity import Identity, IdentityFile
from edged.agent.open_batch import MODES
from edged.agent.sending import MAX_MESSAGE_BYTES
from edged.agent.session import Parts, RetryLater, Session
from edged.agent.store import ArtifactStore
from edged.decisions.backoff import full_jitter_s
from edged.rpc.keepalive import CLIENT_OPTIONS

if TYPE_CHECKING:
    from loopai.control.v1.link_pb2_grpc import ControlPlaneServiceAsyncStub

log = structlog.get_logger()
ENROLL_TIMEOUT_S = 10.0
BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 15.0
STEADY_S = 2.0  # of a session; one that ends sooner would end so again, ten times a second
REPLACED_WAIT_S = 30.0
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Else a channel takes over the connection attempts, and the growing pauses, of those before it.
    ("grpc.use_local_subchannel_pool", 1),
    *CLIENT_OPTIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """Where home is and what this edge says of itself."""

    address: str
    tls: Tls | None
    """None: in clear."""
    api_key: str
    name: str
    tasks: tuple[str, ...]
    log_id: str


class Link:
    """Owns the connection."""

    def __init__(
        self,
        settings: LinkSettings,
        identity_file: IdentityFile,
        store: ArtifactStore,
        parts: Parts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._identity_file = identity_file
        self._store = store
        self._parts = parts
        self._clock = clock
        self._is_told_to_wait = False
        self._instance_id = str(uuid4())
        self._attempt = 0
        self._hurry = asyncio.Event()
        self._has_tried = asyncio.Event()  # since someone was in a hurry
        self.is_up = False
        self.reason_down = "not connected yet"
        self._since_s = clock()  # up, or down
        self._retry_at_s: float | None = None

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        while True:
            reason, delay_s, is_asked = await self._connect()
            if self.is_up or self.reason_down != reason:
                self._since_s = self._clock()
            self.is_up, self.reason_down = False, reason
            log.warning("link_down", reason=reason, retry_in_s=round(delay_s, 2))
            self._retry_at_s = self._clock() + delay_s
            self._has_tried.set()
            await self._rest(delay_s, is_asked=is_asked)
            self._retry_at_s = None

    async def hurry(self) -> bool:
        """Connect now rather than later, if home did not ask to wait; returns whether it is up."""
        if not self.is_up and not self._is_told_to_wait:
            self._has_tried.clear()
            self._hurry.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_tried.wait(), ENROLL_TIMEOUT_S)
        return self.is_up

    def status(self) -> dict[str, Any]:
        """Return what a person asks for."""
        identity = self._identity_file.read()
        return {
            "up": self.is_up,
            "since": _when(self._since_s),
            "reason": "" if self.is_up else self.reason_down,
            "retry_at": None if self._retry_at_s is None else _when(self._retry_at_s),
            "address": self._settings.address,
            "tls": self._settings.tls is not None,
            "name": self._settings.name,
            "deployment_id": identity.deployment_id if identity else None,
            "log_id": self._settings.log_id,
            "instance_id": self._instance_id,
            "sequence": self._parts.applier.routes.sequence,
        }

    async def _rest(self, delay_s: float, *, is_asked: bool) -> None:
        self._hurry.clear()
        self._is_told_to_wait = is_asked
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), delay_s)
        self._is_told_to_wait = False

    async def _connect(self) -> tuple[str, float, bool]:
        """Hold one session; return why it ended, how long to stay away, whether home said so."""
        asked_s: float | None = None
        reason = ""
        try:
            await self._session()
        except* RetryLater as group:
            first = group.exceptions[0]
            asked_s = first.delay_s if isinstance(first, RetryLater) else None
            reason = f"asked to wait: {first}"
        except* (grpc.aio.AioRpcError, OSError, EOFError, TimeoutError, ValueError) as group:
            reason = _reason(group.exceptions[0])
            if _is_replaced(group.exceptions[0]):
                # Two agents with one identity would push each other out many times a second.
                asked_s = REPLACED_WAIT_S + full_jitter_s(0, base_s=REPLACED_WAIT_S, cap_s=60)
                log.error("identity_doubled", reason=reason)
        except* Exception as group:
            log.exception("session_failed")
            reason = _reason(group.exceptions[0])
        if self.is_up and self._clock() - self._since_s >= STEADY_S:
            self._attempt = 0
        if asked_s is not None:
            return reason, max(asked_s, BACKOFF_BASE_S), True
        delay_s = full_jitter_s(self._attempt, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S)
        self._attempt += 1
        return reason, delay_s, False

    async def _session(self) -> None:
        async with self._channel() as channel:
            stub: ControlPlaneServiceAsyncStub = link_pb2_grpc.ControlPlaneServiceStub(channel)
            identity = self._identity_file.read() or await self._enroll(stub)
            session = Session(self._parts, identity, self._hello(identity))
            stream = stub.Connect(session.requests(), metadata=self._credentials())
            await session.run(stream, self._welcomed)

    def _welcomed(self) -> None:
        self.is_up = True
        self._since_s = self._clock()
        self._has_tried.set()
        log.info("link_up", address=self._settings.address)

    def _channel(self) -> grpc.aio.Channel:
        """Return a new one; its files are read anew, so that renewed ones count."""
        address, compression = self._settings.address, grpc.Compression.Gzip
        if self._settings.tls is not None:
            credentials = self._settings.tls.channel_credentials()
            return grpc.aio.secure_channel(
                address, credentials, options=OPTIONS, compression=compression
            )
        return grpc.aio.insecure_channel(address, options=OPTIONS, compression=compression)

    def _credentials(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._settings.api_key}"),)

    async def _enroll(self, stub: "ControlPlaneServiceAsyncStub") -> Identity:
        request = wire.EnrollRequest(
            name=self._settings.name, edge_version=metadata.version("loopai")
        )
        answer = await stub.Enroll(request, metadata=self._credentials(), timeout=ENROLL_TIMEOUT_S)
        identity = Identity(
            deployment_id=answer.deployment_id, signing_public_key=answer.signing_public_key
        )
        self._identity_file.write(identity)
        log.info("enrolled", deployment_id=identity.deployment_id)
        return identity

    def _hello(self, identity: Identity) -> wire.Hello:
        return wire.Hello(
            deployment_id=identity.deployment_id,
            edge_version=metadata.version("loopai"),
            held_digests=[version.digest for version in self._store.held()],
            last_applied_sequence=self._parts.applier.routes.sequence,
            log_id=self._settings.log_id,
            instance_id=self._instance_id,
            tasks=self._settings.tasks,
            privacy_mode=MODES[self._parts.releaser.mode],
        )


def _is_replaced(error: BaseException) -> bool:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.ABORTED


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _reason(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    if isinstance(error, BaseExceptionGroup):
        return _reason(error.exceptions[0])
    return str(error) or type(error).__name__
