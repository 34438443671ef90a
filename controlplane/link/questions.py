"""One connected edge's questions and answers.

Runs in: the server, beside the session. Talks to: reviews. Never: answers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog
from loopai.control.v1 import link_pb2 as pb

from controlplane.link.codec import MAX_VERSION
from controlplane.reviews.questions import Question, Questions
from controlplane.storage.loop_models import OracleQuestionRow
from controlplane.storage.outbox import ANSWERS, Wakeups

log = structlog.get_logger()
MAX_INPUT_BYTES = 256 * 1024  # as much as an edge releases
AGAIN_S = 60.0  # an answer without a receipt is sent again
Send = Callable[[pb.ConnectResponse], Awaitable[None]]


class QuestionDesk:
    """Of one session."""

    def __init__(
        self, questions: Questions, wakeups: Wakeups, send: Send, owner: tuple[str, str]
    ) -> None:
        """owner: organisation and deployment."""
        self._questions = questions
        self._wakeups = wakeups
        self._send = send
        self._organisation_id, self._deployment_id = owner
        self._received = asyncio.Event()

    async def on_question(self, message: pb.ConnectRequest) -> None:
        asked = message.oracle_question
        refused = _fault(asked)
        if not refused:
            question = Question(
                execution_id=asked.execution_id,
                task=asked.task,
                version=asked.version,
                input_json=asked.input_json.decode(errors="replace").replace("\0", ""),
                erased=[entry[:200] for entry in asked.erased[:100]],
                channel=asked.channel[:16],
                inclusion_probability=asked.inclusion_probability,
            )
            await self._questions.keep(self._organisation_id, self._deployment_id, question)
        ack = pb.OracleQuestionAck(execution_id=asked.execution_id, refused=refused)
        await self._send(pb.ConnectResponse(oracle_question_ack=ack))

    async def on_receipt(self, message: pb.ConnectRequest) -> None:
        execution_id = message.oracle_receipt.execution_id[:36]
        await self._questions.deliver(self._organisation_id, self._deployment_id, execution_id)
        self._received.set()

    async def push(self) -> None:
        """Send answers as they come, again and again until there are receipts; until cancelled."""
        sent: set[int] = set()
        with self._wakeups.subscribed(ANSWERS, self._deployment_id) as answered:
            while True:
                answered.clear()
                self._received.clear()
                rows = await self._questions.undelivered(self._organisation_id, self._deployment_id)
                for row in rows:
                    if row.id not in sent:
                        await self._send(pb.ConnectResponse(oracle_answer=_answer(row)))
                sent = {row.id for row in rows}
                if not await _any(answered, self._received):
                    sent = set()


async def _any(*events: asyncio.Event) -> bool:
    """Wait for one of them; returns whether one came within AGAIN_S."""
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(event.wait()) for event in events]
        done, _ = await asyncio.wait(waits, timeout=AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    return bool(done)


def _fault(asked: pb.OracleQuestion) -> str:
    """Return why a question cannot be kept, for good."""
    try:
        UUID(asked.execution_id)
    except ValueError:
        return "execution_id: must be a UUID"
    if not 0 < len(asked.task) <= 63 or asked.version > MAX_VERSION:
        return "task, version: out of range"
    if not 0 < len(asked.input_json) <= MAX_INPUT_BYTES:
        return f"input_json: must have 1 to {MAX_INPUT_BYTES} bytes"
    return "" if 0 < asked.inclusion_probability <= 1 else "inclusion_probability: out of range"


def _answer(row: OracleQuestionRow) -> pb.OracleAnswer:
    took = row.answered_at - row.asked_at if row.answered_at else None
    return pb.OracleAnswer(
        execution_id=row.execution_id,
        task=row.task,
        output_json=(row.output_json or "null").encode(),
        cost=row.cost,
        latency_ms=took.total_seconds() * 1000 if took else 0.0,
        answered_by=row.answered_by,
        channel=row.channel,
        inclusion_probability=row.inclusion_probability,
    )
