"""One life of the stream: what comes down is dispatched, what must go up is sent.

Runs in: the agent, from hello to the end of one connection. Never: reconnects; the link does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc
import structlog
from loopai.control.v1 import link_pb2 as wire

from edged.agent.applier import Applier
from edged.agent.batches import BatchFolder
from edged.agent.download import Downloads
from edged.agent.erasures import Erasures
from edged.agent.identity import Identity
from edged.agent.releasing import Releaser
from edged.agent.sending import BatchSender
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

    clock: seconds since the epoch. problems: what a heartbeat tells of troubles.
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
            tasks.create_task(self._send_batches(welcome))
            tasks.create_task(self._parts.erasures.ask_home(self._outgoing.put))
            tasks.create_task(self._heartbeat(max(1, welcome.heartbeat_interval_s)))

    async def _receive(self, stream: Stream) -> None:
        while isinstance(message := await stream.read(), wire.ConnectResponse):
            kind = message.WhichOneof("message")
            if kind == "state":
                self._newest = message.state
                self._state_arrived.set()
            elif kind == "artifact_chunk":
                self._parts.downloads.receive(message.artifact_chunk)
            elif kind == "telemetry_ack":
                self._sender.acknowledge(message.telemetry_ack.number)
            elif kind == "erasure_ack":
                self._parts.erasures.acknowledge(message.erasure_ack)
            elif kind == "retry_after":
                asked = message.retry_after
                raise RetryLater(asked.delay_ms / 1000, asked.reason)
        raise EOFError("the control plane ended the stream")

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
        await self._sender.run(self._outgoing.put, interval_s=interval_s)

    async def _heartbeat(self, interval_s: float) -> None:
        while True:
            reports = self._parts.applier.reports.values()
            status = wire.EdgeStatus(
                tasks=[to_wire(report, self._parts.releaser.privacy) for report in reports],
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
        asked = message.retry_after
        raise RetryLater(asked.delay_ms / 1000, asked.reason)
    return message.welcome
