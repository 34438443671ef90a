"""The words of program generation: an example, a brief, a candidate, and who makes and runs one.

Runs in: jobs. Talks to: nothing, these are values and protocols. Never: trains, renders or runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Strategy = Literal["rule", "ml", "hybrid", "dsl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One pair a person vouches for; both sides are JSON values."""

    input: Any
    output: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBrief:
    """What a generator may know of a task."""

    name: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    accuracy_target: float
    latency_target_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question to a language model and what came of it; holds no key."""

    purpose: str  # "write" or "repair 1", "repair 2"
    variant: str  # which prompt was used
    provider: str
    model: str
    request_json: str  # the body that was sent
    answer: str  # its text; empty when there was none
    stop_reason: str  # the provider's word; "error" when there was no answer
    error: str  # why there was none, in words
    input_tokens: int
    output_tokens: int
    cost_usd: float
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A program that somebody proposes: nothing is known yet of how well it does."""

    strategy: Strategy
    source: str  # defines run(input_data); standard library only
    returns_confidence: bool  # run answers {"output": …, "confidence": 0 to 1}
    complexity: dict[str, int | float]
    explanation: str  # for people, a few lines
    exchanges: tuple[Exchange, ...] = ()  # with the model that wrote it, when one did


class Generator(Protocol):
    """Proposes one program from examples. The same brief and examples give the same source."""

    @property
    def strategy(self) -> Strategy: ...

    def unsuited(self, task: TaskBrief, examples: Sequence[Example]) -> str | None:
        """Return the reason, in words, why this strategy cannot try; None when it can."""

    def propose(
        self, task: TaskBrief, examples: Sequence[Example], report: Callable[[float], None]
    ) -> Candidate:
        """Train on all examples given; CPU-bound, so callers use a thread.

        report: called with the finished fraction, 0 to 1, never falling.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one call of a program fared: an output, or the reason why there is none."""

    output_json: bytes | None
    failure: str | None
    run_ms: float


@runtime_checkable
class AskingGenerator(Protocol):
    """Proposes a program by asking somebody: slow, dear, and never twice the same.

    So it is asked once a generation, for rows that leave enough others to compare it on, and the
    program it gave is the one that is shipped.
    """

    @property
    def strategy(self) -> str:
        """The name of this way, such as "llm"; the candidate's strategy says what it is like."""

    def unsuited(self, task: TaskBrief, examples: Sequence[Example]) -> str | None:
        """Return the reason, in words, why this strategy cannot try; None when it can."""

    async def ask(
        self,
        task: TaskBrief,
        examples: Sequence[Example],
        runner: "ProgramRunner",
        report: Callable[[float], None],
    ) -> Candidate:
        """Raises NothingProposed when no program came of it, whatever the reason."""


class ProgramRunner(Protocol):
    """Runs candidates behind the barriers that they will meet at an edge."""

    async def load(self, source: str, *, returns_confidence: bool) -> str:
        """Return the key to run it by. Raises CandidateRefused when the barriers refuse it."""

    async def run(self, key: str, input_json: bytes) -> Run:
        """Call the program once. A program's failure is a Run, never an exception."""

    async def unload(self, key: str) -> None: ...
