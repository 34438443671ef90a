"""The plan of a rollout: what a candidate must show, and in which steps its share of traffic grows.

Pure. Used by: home (writes it, signed), the edge (follows it). Never: changes during a rollout but
for `is_automatic`; where a rollout stands is its progress.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edged.decisions.discordance import DiscordanceTest
from edged.decisions.guardrails import Tolerances


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of traffic. weight: the candidate's share, above 0 and at most 1."""

    weight: float
    min_executions: int = 500
    """Of the candidate. The guardrails need some 300 without trouble; more meet rarer cases."""
    min_duration_s: float = 600.0
    """Traffic of one minute is not traffic of a day; raise it where the mix changes by the hour."""

    def __post_init__(self) -> None:
        if not (0 < self.weight <= 1 and self.min_executions >= 1 and self.min_duration_s >= 0):
            raise ValueError(
                "a stage needs a weight above 0 and up to 1, and executions to look at"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Before traffic, the candidate runs on sampled inputs beside the stable version."""

    test: DiscordanceTest = field(default_factory=DiscordanceTest)
    min_pairs: int = 50
    """Compared before a pass: a handful of labels can decide the test, and has seen few inputs."""
    max_labels: int = 400
    """Labels cost money: after so many without a verdict the two are too alike, and it ends."""

    def __post_init__(self) -> None:
        if not (self.min_pairs >= 1 and self.max_labels >= 1):
            raise ValueError("min_pairs and max_labels are at least 1")


DEFAULT_STAGES = (Stage(weight=0.1), Stage(weight=0.5), Stage(weight=1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """stages: weights ascending. shadow: None where no oracle can label; traffic starts at once."""

    rollout_id: str
    stages: tuple[Stage, ...] = DEFAULT_STAGES
    shadow: Shadow | None = field(default_factory=Shadow)
    tolerances: Tolerances = field(default_factory=Tolerances)
    is_automatic: bool = True
    """The edge goes on by its own verdicts; otherwise each step waits for a FORCE from home."""

    def __post_init__(self) -> None:
        weights = [stage.weight for stage in self.stages]
        if not weights or weights != sorted(set(weights)):
            raise ValueError("a plan needs stages whose weights grow")

    def stage(self, number: int) -> Stage:
        """Return the stage, counted from 1; the last one for any number beyond."""
        return self.stages[min(number, len(self.stages)) - 1]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Plan":
        """Read what `as_json` wrote. Raises ValueError."""
        try:
            shadow = document["shadow"]
            return cls(
                rollout_id=document["rollout_id"],
                stages=tuple(Stage(**stage) for stage in document["stages"]),
                shadow=None if shadow is None else _shadow(shadow),
                tolerances=Tolerances(**document["tolerances"]),
                is_automatic=document["is_automatic"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a rollout plan: {error!r}") from error


def _shadow(document: Mapping[str, Any]) -> Shadow:
    return Shadow(**{**document, "test": DiscordanceTest(**document["test"])})
