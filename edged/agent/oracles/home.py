"""Ask home: a question is kept there, and a model or a person answers, days later perhaps.

Runs in: the agent. Talks to: the link's session, the execution log, the validation log. Never:
keeps a list of what it asked; an answer comes with how its execution was drawn, until home has a
receipt for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import orjson
import structlog
from loopai.control.v1 import link_pb2 as wire

from edged.agent.oracles.protocol import Answer, Closed, OracleAway, Question, QuestionRefused
from edged.agent.privacy.audit import AuditLog, Sent
from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.scrubbing import told
from edged.agent.validations import Executed
from edged.decisions.sampling import Sample

log = structlog.get_logger()
ACK_S: Final = 30.0
MAX_ANSWERS: Final = 256  # unread ones; more are left to home, which sends them again
Send = Callable[[wire.ConnectRequest], Awaitable[None]]


class AnswerTaker(Protocol):
    """One task's validator."""

    def take(self, answer: wire.OracleAnswer, done: Callable[[], Awaitable[None]]) -> None:
        """Judge it by and by; `done` is for when its validation is on disk."""


class HomeDesk:
    """Passes questions and answers between the session of the moment and the validators."""

    def __init__(self) -> None:
        self._send: Send | None = None
        self._waiting: dict[str, asyncio.Future[str]] = {}  # execution → why it was refused
        self.takers: dict[str, AnswerTaker] = {}  # by task

    async def attend(self, send: Send) -> None:
        """Serve one session, until cancelled."""
        self._send = send
        try:
            await asyncio.Event().wait()
        finally:
            self._send = None

    async def submit(self, question: wire.OracleQuestion) -> None:
        """Return once home keeps the question. Raises OracleAway or QuestionRefused."""
        if self._send is None:
            raise OracleAway(reason="the control plane is not connected")
        kept = self._waiting[question.execution_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ACK_S):
                await self._send(wire.ConnectRequest(oracle_question=question))
                refused = await kept
        except TimeoutError:
            raise OracleAway(reason="the control plane did not acknowledge it") from None
        finally:
            self._waiting.pop(question.execution_id, None)
        if refused:
            raise QuestionRefused(reason=refused)

    def acknowledge(self, ack: wire.OracleQuestionAck) -> None:
        waiting = self._waiting.get(ack.execution_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.refused)

    async def receive(self, answer: wire.OracleAnswer) -> None:
        """Hand an answer on; one for a task that asks home no longer is done with."""
        taker = self.takers.get(answer.task)
        if taker is None:
            await self._receipt(answer.execution_id)
        else:
            taker.take(answer, lambda: self._receipt(answer.execution_id))

    async def _receipt(self, execution_id: str) -> None:
        if self._send is not None:  # else home sends the answer again, and it has the same id
            receipt = wire.OracleReceipt(execution_id=execution_id)
            await self._send(wire.ConnectRequest(oracle_receipt=receipt))


class HomeQuestions(Closed):
    """Makes a task's questions, as they may leave."""

    name = "control_plane"

    def __init__(
        self, desk: HomeDesk, privacy: Callable[[], PrivacyFilter], audit: AuditLog
    ) -> None:
        self._desk = desk
        self._privacy = privacy
        self._audit = audit

    async def ask(self, question: Question) -> Answer:  # noqa: ARG002 the protocol's
        raise OracleAway(reason="its answers come by themselves")

    async def submit(self, executed: Executed, sample: Sample) -> None:
        """Raises OracleAway, QuestionRefused or LogUnwritable."""
        privacy = self._privacy()
        try:
            released = privacy.release(orjson.dumps(executed.input), None, {})
        except Withheld as error:
            raise QuestionRefused(reason=str(error)) from None
        if released.input_json is None:
            raise QuestionRefused(reason=f"privacy mode {privacy.mode} lets no input leave")
        question = wire.OracleQuestion(
            execution_id=executed.execution_id,
            task=executed.task,
            version=executed.version,
            input_json=released.input_json,
            erased=told(released.erased),
            channel=sample.channel.value,
            inclusion_probability=sample.inclusion_probability,
        )
        sent = Sent(
            what="oracle_call",
            mode=privacy.mode,
            size_bytes=question.ByteSize(),
            execution_id=executed.execution_id,
            erased=released.erased,
        )
        self._audit.append([sent])
        await self._desk.submit(question)


def output_of(answer: wire.OracleAnswer) -> Any:
    """Return the answer's output. Raises ValueError."""
    return orjson.loads(answer.output_json)
