"""The plan of a rollout as home writes it: stages, shadow runs, and who decides.

Pure. Never: follows a plan; the edge alone knows and owns the stage it is in.
"""

from dataclasses import dataclass
from typing import Any

WEIGHTS = (0.1, 0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    """What every rollout has to show, unless its own plan says otherwise."""

    stage_weights: tuple[float, ...] = WEIGHTS
    """The candidate's share, stage by stage; the specification's 10, 50 and 100 %."""
    stage_min_executions: int = 500
    """Of the candidate in each stage: the guardrails need some 300 without trouble."""
    stage_min_duration_s: int = 600
    """Traffic of a minute is not traffic of a day."""
    is_automatic: bool = True
    """Edges go on by their own verdicts; otherwise each step waits for a person."""
    shadow_rate: float = 1.0
    """Share of the audit samples that the candidate runs too before it gets traffic; 0: none."""
    min_shadow_executions: int = 50
    """A handful of labels can decide the shadow test, and has seen few inputs."""
    max_duration_s: int = 7 * 24 * 3600
    """Without a verdict after this time a rollout waits for a person; 0: it may take for ever."""
    live_within_s: float = 60.0
    """An edge that was silent for longer holds up nobody; four heartbeats."""

    def __post_init__(self) -> None:
        weights = list(self.stage_weights)
        if not weights or weights != sorted(set(weights)) or not 0 < weights[0] <= weights[-1] <= 1:
            raise ValueError("stage_weights must grow, above 0 and up to 1")
        if not 0 <= self.shadow_rate <= 1:
            raise ValueError("shadow_rate must be 0 to 1")
        counts = (self.min_shadow_executions, self.max_duration_s, self.stage_min_duration_s)
        if self.stage_min_executions < 1 or min(counts) < 0:
            raise ValueError("executions and durations cannot be negative")

    def plan(self) -> dict[str, Any]:
        """Return the plan as it is stored and, by the link, signed and sent."""
        stages = [
            {
                "weight": weight,
                "min_executions": self.stage_min_executions,
                "min_duration_s": self.stage_min_duration_s,
            }
            for weight in self.stage_weights
        ]
        return {
            "stages": stages,
            "is_automatic": self.is_automatic,
            "shadow_rate": self.shadow_rate,
            "min_shadow_executions": self.min_shadow_executions,
            "max_duration_s": self.max_duration_s,
        }
