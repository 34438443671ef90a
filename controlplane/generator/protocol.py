"""The words of program generation: an example, a brief, a candidate, and who makes and runs one.

Runs in: jobs. Talks to: nothing, these are values and protocols. Never: trains, renders or runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

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
class Candidate:
    """A program that somebody proposes: nothing is known yet of how well it does."""

    strategy: Strategy
    source: str  # defines run(input_data); standard library only
    returns_confidence: bool  # run answers {"output": …, "confidence": 0 to 1}
    complexity: dict[str, int | float]
    explanation: str  # for people, a few lines


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


class ProgramRunner(Protocol):
    """Runs candidates behind the barriers that they will meet at an edge."""

    async def load(self, source: str, *, returns_confidence: bool) -> str:
        """Return the key to run it by. Raises CandidateRefused when the barriers refuse it."""

    async def run(self, key: str, input_json: bytes) -> Run:
        """Call the program once. A program's failure is a Run, never an exception."""

    async def unload(self, key: str) -> None: ...
