"""One life of the stream: what comes down is dispatched, what must go up is sent.

Runs in: the agent, from hello to the end of one connection. Never: reconnects; the link does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc
import structlog
from google.protobuf.message import DecodeError
from loopai.control.v1 import link_pb2 as wire

from edged.agent.applier import Applier
from edged.agent.batches import BatchFolder
from edged.agent.download import Downloads
from edged.agent.identity import Identity
from edged.agent.states import States, to_wire
from edged.agent.telemetry import Batcher

log = structlog.get_logger()
OUTGOING = 64  # messages waiting for the stream; full: the sender waits
WINDOW = 8  # telemetry batches sent and not acknowledged
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
        self._acknowledged = asyncio.Event()
        self._sent_up_to = 0

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
            tasks.create_task(self._send_batches())
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
                self._parts.batches.acknowledge(message.telemetry_ack.number)
                self._acknowledged.set()
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

    async def _send_batches(self) -> None:
        """Send sealed batches in order, at most a window ahead of the acknowledgements."""
        while True:
            pending = self._parts.batches.pending()
            for number in [n for n in pending[:WINDOW] if n > self._sent_up_to]:
                await self._outgoing.put(self._telemetry(number))
                self._sent_up_to = number
            await self._news()

    async def _news(self) -> None:
        """Return when a batch was sealed or acknowledged."""
        sealed, acknowledged = self._parts.batcher.sealed, self._acknowledged
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(event.wait()) for event in (sealed, acknowledged)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        sealed.clear()
        acknowledged.clear()

    async def _heartbeat(self, interval_s: float) -> None:
        while True:
            reports = self._parts.applier.reports.values()
            status = wire.EdgeStatus(
                tasks=[to_wire(report) for report in reports],
                batches_pending=len(self._parts.batches.pending()),
                problems=self._parts.problems(),
            )
            status.sent_at.FromNanoseconds(int(self._parts.clock() * 1e9))
            await self._outgoing.put(wire.ConnectRequest(status=status))
            await asyncio.sleep(interval_s)

    def _telemetry(self, number: int) -> wire.ConnectRequest:
        try:
            batch = wire.TelemetryBatch.FromString(self._parts.batches.read(number))
        except DecodeError as error:
            raise ValueError(f"sealed batch {number} is damaged") from error
        batch.deployment_id = self._identity.deployment_id
        return wire.ConnectRequest(telemetry=batch)


def _welcome(message: "wire.ConnectResponse | object") -> wire.Welcome:
    if not isinstance(message, wire.ConnectResponse):
        raise EOFError("the control plane ended the stream")  # noqa: TRY004 the stream's end
    if message.WhichOneof("message") == "retry_after":
        asked = message.retry_after
        raise RetryLater(asked.delay_ms / 1000, asked.reason)
    return message.welcome
