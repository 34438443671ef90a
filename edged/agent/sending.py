"""Send sealed batches home in order, as fast as home permits, through the filter in force now.

Runs in: the agent, for as long as one session. Talks to: the batch folder. Never: sends a batch
that a laxer filter than today's let through, or more than a window ahead of what was acknowledged.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog
from google.protobuf.message import DecodeError
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batches import BatchFolder
from edged.agent.refiltering import refilter
from edged.agent.releasing import Releaser
from edged.agent.telemetry import Batcher
from edged.errors import LogUnwritable

log = structlog.get_logger()
WINDOW = 8  # telemetry batches sent and not acknowledged
AGAIN_S = 1.0  # until a disk that refused is asked again
MAX_MESSAGE_BYTES = 8 * 1024 * 1024  # of the link, either way; home may take less
TOO_LARGE = "records: above the link's message limit"
TOO_LARGE_AT_ALL = "executions: above the link's message limit"
DECISIONS_TOO_LARGE = "decisions: above the link's message limit"
Put = Callable[[wire.ConnectRequest], Awaitable[None]]


class BatchSender:
    """interval_s: home's, between two batches; 0: none."""

    def __init__(
        self, batches: BatchFolder, batcher: Batcher, releaser: Releaser, deployment_id: str
    ) -> None:
        self._batches = batches
        self._batcher = batcher
        self._releaser = releaser
        self._deployment_id = deployment_id
        self._acknowledged = asyncio.Event()
        self._sent_up_to = 0
        self._sent: dict[int, str] = {}  # of the window: number → log_id
        self._arrived_up_to = 0  # as home says
        self._is_refused = False  # by the disk, which is to note that

    async def run(self, put: Put, *, interval_s: float, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Send until cancelled. Home's interval spreads what gathered in days offline.

        max_bytes: of one message, as home takes them.
        """
        while True:
            for number in self._next():
                message = await self._noted(number, max_bytes)
                self._sent_up_to = number
                if message is not None:
                    self._sent[number] = message.telemetry.log_id  # before home can answer
                    await put(message)
                    await asyncio.sleep(interval_s)
            await self._news()
            if self._is_refused:
                self._let_go()

    def acknowledge(self, ack: wire.TelemetryAck) -> None:
        """Let go of the batches up to this one; of those that the disk keeps, later.

        Not for what was not sent over this connection: nobody counted that.
        """
        if ack.number <= self._arrived_up_to:
            return
        if self._sent.get(ack.number) != ack.log_id:
            log.warning("acknowledgement_of_nothing", number=ack.number, log_id=ack.log_id)
            return
        self._arrived_up_to = ack.number
        self._sent = {n: log_id for n, log_id in self._sent.items() if n > ack.number}
        self._let_go()
        self._acknowledged.set()

    def _let_go(self) -> None:
        try:
            self._batches.acknowledge(self._arrived_up_to)
        except OSError as error:
            if not self._is_refused:
                log.warning("acknowledgement_refused_by_disk", reason=str(error))
            self._is_refused = True
        else:
            self._is_refused = False

    def _next(self) -> list[int]:
        """Return the batches to send now: the ones after the last, within the window."""
        window = self._batches.pending_after(0, WINDOW)
        return [number for number in window if number > self._sent_up_to]

    async def _news(self) -> None:
        """Return when a batch was sealed or acknowledged, or the disk is to be asked again."""
        sealed, acknowledged = self._batcher.sealed, self._acknowledged
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(event.wait()) for event in (sealed, acknowledged)]
            again_s = AGAIN_S if self._is_refused else None
            await asyncio.wait(waits, timeout=again_s, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        sealed.clear()
        acknowledged.clear()

    async def _noted(self, number: int, max_bytes: int) -> wire.ConnectRequest | None:
        """Return a batch as it may leave now, once the audit log has taken it."""
        while True:
            batch = self._read(number)
            if batch is None or not self._fits(number, batch, max_bytes):
                return None
            try:
                self._releaser.note_batch(batch)
            except LogUnwritable as error:
                log.warning("batch_waits_for_audit_log", number=number, reason=str(error))
                await asyncio.sleep(AGAIN_S)
            else:
                return wire.ConnectRequest(telemetry=batch)

    def _read(self, number: int) -> wire.TelemetryBatch | None:
        """Return a batch, filtered by today's filter; one that is damaged is let go."""
        try:
            batch = wire.TelemetryBatch.FromString(self._batches.read(number))
        except (ValueError, DecodeError) as error:
            log.error("batch_damaged", number=number, reason=str(error))
            self._batches.drop_damaged(number)
            return None
        privacy = self._releaser.privacy
        if self._batches.filtered_by(number) != privacy.fingerprint:
            refilter(batch, privacy)
            self._replace(number, batch)
            log.info("batch_filtered_again", number=number, mode=str(privacy.mode))
        batch.deployment_id = self._deployment_id
        return batch

    def _fits(self, number: int, batch: wire.TelemetryBatch, max_bytes: int) -> bool:
        """Make a batch fit into a message: one too large ends the session, at every attempt.

        Its records go, and are counted in it. One whose counts alone are too large is let go.
        """
        if _message_bytes(batch) <= max_bytes:
            return True
        lost = len(batch.executions) + len(batch.validations)
        del batch.executions[:], batch.validations[:]
        batch.dropped[TOO_LARGE] += lost
        log.error("batch_too_large", number=number, records=lost, max_bytes=max_bytes)
        if _message_bytes(batch) <= max_bytes:
            self._replace(number, batch)
            return True
        executions = sum(arm.executions for arm in batch.arms)
        counts = {TOO_LARGE_AT_ALL: executions, DECISIONS_TOO_LARGE: len(batch.decisions)}
        self._batches.drop(number, Counter(counts) + Counter(dict(batch.dropped)))
        log.error("batch_dropped", number=number, executions=executions, max_bytes=max_bytes)
        return False

    def _replace(self, number: int, batch: wire.TelemetryBatch) -> None:
        fingerprint = self._releaser.privacy.fingerprint
        self._batches.replace(number, batch.SerializeToString(), filtered_by=fingerprint)


def _message_bytes(batch: wire.TelemetryBatch) -> int:
    return wire.ConnectRequest(telemetry=batch).ByteSize()
