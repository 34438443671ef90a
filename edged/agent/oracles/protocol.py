"""What the validator asks an oracle, what it gets, and the two ways in which it gets nothing.

Pure. Implemented by: `http`, `anthropic`, `program`, `judges`. Truths that callers report come by
themselves: `outcome`.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

from edged.errors import PlatformError


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is right for this input? version: of the program that was called."""

    task: str
    version: int
    execution_id: str
    input_json: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """output: a JSON value. cost: in US dollars."""

    output: Any
    cost: float
    latency_ms: float


class OracleAway(PlatformError):
    """Nobody answered; asking again later can help, with this question and with every other."""

    code = "oracle_away"
    text = "{reason}"
    retryable = True


class OracleFailed(PlatformError):
    """It answered, but not what was asked; whether it is at fault or the question is open."""

    code = "oracle_failed"
    text = "{reason}"
    retryable = True


class QuestionRefused(PlatformError):
    """This question will not be answered, however often it is asked."""

    code = "question_refused"
    text = "{reason}"


class Oracle(AbstractAsyncContextManager["Oracle"], Protocol):
    """Entered before it is asked. Entering raises LoopaiError or OSError while it is unusable."""

    @property
    def name(self) -> str:
        """Stands in every record, so that its labels can be told apart and voided."""

    async def __aenter__(self) -> Self: ...

    async def ask(self, question: Question) -> Answer:
        """Raise OracleAway, OracleFailed or QuestionRefused instead of an answer."""


class Closed:
    """An oracle that is entered for nothing, and closed at the end."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """similarity: 0 to 1. cost: in US dollars."""

    similarity: float
    cost: float = 0.0


class Judge(Protocol):
    """Says how similar two values are. Raises OracleAway, OracleFailed or QuestionRefused."""

    async def judge(self, question: Question, output: Any, truth: Any) -> Judgement: ...

    async def close(self) -> None: ...
