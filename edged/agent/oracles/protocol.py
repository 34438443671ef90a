"""What the validator asks an oracle, what it gets, and the ways in which it gets nothing.

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


class NotAsked(PlatformError):
    """Nobody is to be asked this any more. reason: a word to count by."""

    code = "not_asked"
    text = "{reason}"


class OracleFailed(PlatformError):
    """It answered, but not what was asked; whether it is at fault or the question is open.

    cost: of an answer that is of no use, in US dollars.
    """

    code = "oracle_failed"
    text = "{reason}"
    retryable = True

    def __init__(self, *, reason: object, cost: float = 0.0) -> None:
        super().__init__(reason=reason)
        self.cost = cost


class QuestionRefused(PlatformError):
    """This question will not be answered, however often it is asked. cost: as of OracleFailed."""

    code = "question_refused"
    text = "{reason}"

    def __init__(self, *, reason: object, cost: float = 0.0) -> None:
        super().__init__(reason=reason)
        self.cost = cost


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

    def check(self) -> None:
        """Raise QuestionRefused while it may be shown nothing."""

    async def judge(self, question: Question, output: Any, truth: Any) -> Judgement: ...

    async def close(self) -> None: ...
