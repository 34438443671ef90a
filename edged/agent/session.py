"""One life of the stream: what comes down is dispatched, what must go up is sent.

Runs in: the agent, from hello to the end of one connection. Never: reconnects; the link does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc
import structlog
from loopai.control.v1 import link_pb2 as wire

from edged.agent.applier import Applier
from edged.agent.batches import BatchFolder
from edged.agent.download import Downloads
from edged.agent.erasures import Erasures
from edged.agent.identity import Identity
from edged.agent.oracles.home import HomeDesk
from edged.agent.releasing import Releaser
from edged.agent.sending import MAX_MESSAGE_BYTES, BatchSender
from edged.agent.states import States, to_wire
from edged.agent.telemetry import Batcher

log = structlog.get_logger()
OUTGOING = 64  # messages waiting for the stream; full: the sender waits
WELCOME_TIMEOUT_S = 10.0
Stream = grpc.aio.StreamStreamCall[wire.ConnectRequest, wire.ConnectResponse]
Outgoing = asyncio.Queue[wire.ConnectRequest]


class RetryLater(Exception):
    """The control plane named its own delay."""

    def __init__(self, delay_s: float, reason: str) -> None:
        super().__init__(reason)
        self.delay_s = delay_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a session works with; they outlive it.

    clock: seconds since the epoch. problems: what a heartbeat tells of troubles. sends_batches:
    False where the customer switched telemetry off; then those that were sealed before stay here.
    """

    states: States
    downloads: Downloads
    batches: BatchFolder
    batcher: Batcher
    erasures: Erasures
    releaser: Releaser
    applier: Applier
    clock: Callable[[], float]
    problems: Callable[[], list[str]] = list
    sends_batches: bool = True
    desk: HomeDesk = field(default_factory=HomeDesk)


class Session:
    """Ends with an exception when the stream does."""

    def __init__(self, parts: Parts, identity: Identity, hello: wire.Hello) -> None:
        self._parts = parts
        self._identity = identity
        self._outgoing: Outgoing = asyncio.Queue(maxsize=OUTGOING)
        self._outgoing.put_nowait(wire.ConnectRequest(hello=hello))
        # Newest wins: a state is whole, so an older one that waits is of no use.
        self._newest: wire.SignedState | None = None
        self._state_arrived = asyncio.Event()
        self._sender = BatchSender(
            parts.batches, parts.batcher, parts.releaser, identity.deployment_id
        )

        self._takers: dict[str, Callable[[wire.ConnectResponse], None]] = {
            "state": self._take_state,
            "artifact_chunk": lambda m: parts.downloads.receive(m.artifact_chunk),
            "telemetry_ack": lambda m: self._sender.acknowledge(m.telemetry_ack),
            "erasure_ack": lambda m: parts.erasures.acknowledge(m.erasure_ack),
            "oracle_question_ack": lambda m: parts.desk.acknowledge(m.oracle_question_ack),
            "retry_after": _retry_later,
        }

    async def requests(self) -> AsyncIterator[wire.ConnectRequest]:
        while True:
            yield await self._outgoing.get()

    async def run(self, stream: Stream, on_welcome: Callable[[], None]) -> None:
        """Serve the stream. Raises AioRpcError, EOFError, RetryLater or TimeoutError."""
        async with asyncio.timeout(WELCOME_TIMEOUT_S):
            welcome = _welcome(await stream.read())
        on_welcome()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(stream))
            tasks.create_task(self._apply_states())
            if self._parts.sends_batches:
                tasks.create_task(self._send_batches(welcome))
            tasks.create_task(self._parts.erasures.ask_home(self._outgoing.put))
            tasks.create_task(self._parts.desk.attend(self._outgoing.put))
            tasks.create_task(self._heartbeat(max(1, welcome.heartbeat_interval_s)))

    async def _receive(self, stream: Stream) -> None:
        while isinstance(message := await stream.read(), wire.ConnectResponse):
            kind = message.WhichOneof("message")
            if kind == "oracle_answer":
                await self._parts.desk.receive(message.oracle_answer)
            elif kind in self._takers:
                self._takers[kind](message)
        raise EOFError("the control plane ended the stream")

    def _take_state(self, message: wire.ConnectResponse) -> None:
        self._newest = message.state
        self._state_arrived.set()

    async def _apply_states(self) -> None:
        while True:
            await self._state_arrived.wait()
            self._state_arrived.clear()
            pushed, self._newest = self._newest, None
            if pushed is not None:
                await self._parts.states.receive(pushed, self._identity, self._outgoing.put)

    async def _send_batches(self, welcome: wire.Welcome) -> None:
        self._parts.batcher.pace(welcome.upload_interval_s)
        interval_s = 1 / welcome.batches_per_s if welcome.batches_per_s else 0.0
        max_bytes = min(welcome.max_telemetry_bytes or MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES)
        await self._sender.run(self._outgoing.put, interval_s=interval_s, max_bytes=max_bytes)

    async def _heartbeat(self, interval_s: float) -> None:
        while True:
            reports = self._parts.applier.reports.values()
            status = wire.EdgeStatus(
                tasks=[to_wire(report, self._parts.releaser) for report in reports],
                batches_pending=self._parts.batches.count,
                problems=self._parts.problems(),
            )
            status.sent_at.FromNanoseconds(int(self._parts.clock() * 1e9))
            await self._outgoing.put(wire.ConnectRequest(status=status))
            await asyncio.sleep(interval_s)


def _welcome(message: "wire.ConnectResponse | object") -> wire.Welcome:
    if not isinstance(message, wire.ConnectResponse):
        raise EOFError("the control plane ended the stream")  # noqa: TRY004 the stream's end
    if message.WhichOneof("message") == "retry_after":
        _retry_later(message)
    return message.welcome


def _retry_later(message: wire.ConnectResponse) -> None:
    raise RetryLater(message.retry_after.delay_ms / 1000, message.retry_after.reason)
