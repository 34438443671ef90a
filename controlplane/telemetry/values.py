"""What an edge reports, as values. Pure; made by the link's codec, whatever the wire looks like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCount:
    """All executions of one arm since the edge's last batch."""

    task: str
    version: int
    arm: str
    executions: int
    outcomes: Mapping[str, int]
    caller_timeouts: int
    latency_sketch: bytes
    confidence_bins: Sequence[int]
    output_mix: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One execution, with as much of it as the edge's privacy mode permits."""

    execution_id: str
    task: str
    version: int
    arm: str
    outcome: str
    latency_ms: float
    confidence: float | None
    input_json: str | None
    output_json: str | None
    executed_at: datetime
    channel: str = ""  # audit, uncertainty, stratified or temporal; "" where it was not drawn
    inclusion_probability: float = 0.0
    input_hash: bytes | None = None  # under the edge's own key
    output_index: int | None = None  # into the output schema's enum
    output_hash: bytes | None = None
    erased: Sequence[str] = ()  # what the privacy filter took out: "$.text EMAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """An oracle's word on one execution; known by the execution and the oracle."""

    validation_id: str
    execution_id: str
    task: str
    version: int
    arm: str
    oracle: str
    is_match: bool
    outcome: str
    channel: str
    inclusion_probability: float
    oracle_output_json: str | None
    oracle_output_index: int | None
    oracle_output_hash: bytes | None
    oracle_cost: float
    oracle_latency_ms: float
    similarity_score: float
    comparison_method: str
    validated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One step of a rollout, decided at the edge."""

    decision_id: str
    rollout_id: str
    task: str
    version: int
    stage: int
    phase: str  # where the rollout stands after it
    verdict: str
    action: str
    reason: str
    evidence_json: str
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One numbered upload."""

    log_id: str
    number: int
    sealed_at: datetime
    arms: Sequence[ArmCount]
    samples: Sequence[Sample]
    dropped: Mapping[str, int]
    validations: Sequence[Validation] = ()
    decisions: Sequence[Decision] = ()

    @property
    def tasks(self) -> set[str]:
        """Return the names of all tasks that it says something of."""
        parts = (self.arms, self.samples, self.validations, self.decisions)
        return {entry.task for entries in parts for entry in entries}
