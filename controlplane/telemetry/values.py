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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One numbered upload."""

    log_id: str
    number: int
    sealed_at: datetime
    arms: Sequence[ArmCount]
    samples: Sequence[Sample]
    dropped: Mapping[str, int]
