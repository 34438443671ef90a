"""One validation and its line: what a program said, what the oracle said, whether they agree.

Runs in: the agent. Talks to: datasets/<task>/validations/sampled-<date>.jsonl. Never: rewrites a
line; one that repeats after a kill has the id it had before.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import orjson

from edged.agent.oracles.protocol import Question
from edged.artifacts.manifest import Manifest
from edged.contract.compare import Comparison
from edged.datasets.layout import Layout
from edged.datasets.records import Timestamps
from edged.datasets.writer import LogWriter
from edged.errors import ArtifactInvalid

# Reported: a caller told the truth of an execution that nobody drew. It can teach, not measure.
Channel = Literal["audit", "uncertainty", "stratified", "temporal", "reported"]

FAILED: Final = Comparison(match=False, similarity=0.0, method="exact")
FILE_PREFIX: Final = "sampled-"  # the specification's
_KNOWN_VERSIONS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A line of the execution log, as far as a validation needs it. executed_at: RFC 3339."""

    execution_id: str
    task: str
    version: int
    arm: str
    input: Any
    output: Any
    confidence: float | None
    status: str
    executed_at: str
    is_cut_by_caller: bool

    @property
    def is_success(self) -> bool:
        return self.status == "success"

    @property
    def question(self) -> Question:
        return Question(
            task=self.task,
            version=self.version,
            execution_id=self.execution_id,
            input_json=orjson.dumps(self.input),
        )

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Executed":
        """Take what `records.render` wrote, parsed. Raises ValueError."""
        try:
            UUID(fields["execution_id"])
            confidence = fields.get("confidence")
            return cls(
                execution_id=fields["execution_id"],
                task=fields["task"],
                version=int(fields["version"]),
                arm=fields["arm"],
                input=fields["input"],
                output=fields["output"],
                confidence=None if confidence is None else float(confidence),
                status=fields["status"],
                executed_at=fields["timestamp"],
                is_cut_by_caller=fields.get("error", {}).get("cut_by") == "caller",
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an execution: {error!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One execution judged.

    truth: the oracle's output. cost: in US dollars. inclusion: the probability with which an
    execution like this one is drawn; None where nobody drew.
    """

    executed: Executed
    oracle: str
    truth: Any
    cost: float
    latency_ms: float
    comparison: Comparison
    channel: Channel
    inclusion: float | None


def validation_id(execution_id: str, oracle: str) -> str:
    """Return the same id for the same execution and oracle, whenever it is asked for."""
    return str(uuid5(UUID(execution_id), oracle))


@dataclass(slots=True, kw_only=True)
class ValidationCounts:
    """One task's, since this process started. Cost in US dollars; skipped: by reason."""

    drawn: int = 0
    validated: int = 0
    mismatched: int = 0
    answers: int = 0
    attempts_failed: int = 0
    oracle_cost: float = 0.0
    oracle_latency_ms: float = 0.0  # of all answers together
    skipped: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def count(self, validation: Validation) -> None:
        self.validated += 1
        self.mismatched += not validation.comparison.match

    def spend(self, cost_usd: float, latency_ms: float, *, answers: int) -> None:
        self.answers += answers
        self.oracle_cost += cost_usd
        self.oracle_latency_ms += latency_ms


class ValidationLog:
    """Appends validations of all tasks. clock: seconds since the epoch."""

    def __init__(self, layout: Layout, clock: Callable[[], float]) -> None:
        self._layout = layout
        self._clock = clock
        self._log = LogWriter(layout, "validations", clock, prefix=FILE_PREFIX)
        self._timestamps = Timestamps()
        self._unsynced: set[Path] = set()
        self.forgotten: set[str] = set()  # ids of executions that were erased meanwhile
        self._program_id = lru_cache(_KNOWN_VERSIONS)(self._read_program_id)

    def append(self, task: str, validations: Iterable[Validation]) -> None:
        """Write one line for each, in one write. Raises LogUnwritable; then none is there."""
        now = self._timestamps.text(self._clock())
        lines = [
            _render(validation, self._program_id(task, validation.executed.version), now)
            for validation in validations
            if validation.executed.execution_id not in self.forgotten
        ]
        if lines:
            self._unsynced.add(self._log.append(task, lines))

    def sync(self) -> None:
        """Make every line that was appended survive a power loss. Raises OSError."""
        for path in list(self._unsynced):
            # One that is gone was archived, which is durable, or let go.
            with suppress(FileNotFoundError), path.open("rb") as file:
                os.fsync(file.fileno())
            self._unsynced.discard(path)

    def let_past_days_go(self) -> None:
        """See LogWriter."""
        self._log.let_past_days_go()

    def close(self) -> None:
        self._log.close()

    def _read_program_id(self, task: str, version: int) -> str | None:
        """Return the artifact's id, or None when the version is no longer on this disk."""
        try:
            path = self._layout.version(task, version) / "metadata.json"
            return Manifest.parse(path.read_bytes()).id
        except (OSError, ArtifactInvalid):
            return None


def _render(validation: Validation, program_id: str | None, validated_at: str) -> bytes:
    executed, comparison = validation.executed, validation.comparison
    line = {
        "id": validation_id(executed.execution_id, validation.oracle),
        "execution_id": executed.execution_id,
        "program_id": program_id,
        "oracle_output": validation.truth,
        "oracle_cost": validation.cost,
        "oracle_latency_ms": validation.latency_ms,
        "match": comparison.match,
        "similarity_score": comparison.similarity,
        "comparison_method": comparison.method,
        "validated_at": validated_at,
        "oracle": validation.oracle,
        "channel": validation.channel,
        "inclusion_probability": _rounded(validation.inclusion),
        "task": executed.task,
        "version": executed.version,
        "arm": executed.arm,
        "input": executed.input,
        "output": executed.output,
        "confidence": executed.confidence,
        "status": executed.status,
        "executed_at": executed.executed_at,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _rounded(probability: float | None) -> float | None:
    """Return .2 for 1 - (1 - .2): people read these files."""
    return None if probability is None else round(probability, 9)
