"""Where a rollout stands at one edge: the state that survives restarts, and what adds to it.

Pure. Used by: the rollout's decisions; the agent, which stores it in one file with the position in
the log that it has counted up to, so that no execution counts twice. Never: decides.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from edged.decisions.discordance import PairCounts
from edged.decisions.mixtures import Tally
from edged.decisions.plan import Plan


class Phase(StrEnum):
    SHADOW = "shadow"
    STAGE = "stage"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


class CommandKind(StrEnum):
    """What home may ask. FORCE goes one step on without the evidence; ABORT rolls back."""

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    FORCE = "force"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A person's wish, carried out once by its id."""

    command_id: str
    kind: CommandKind
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCounts:
    """Executions of one arm; in the shadow phase the candidate's are its shadow runs.

    errors: outcomes error, memory and violation. timeouts: by the program's own limit only.
    labels, failures: of the uniform audit sample.
    """

    executions: int = 0
    errors: int = 0
    timeouts: int = 0
    labels: int = 0
    failures: int = 0

    def __add__(self, more: "ArmCounts") -> "ArmCounts":
        sums = {f.name: getattr(self, f.name) + getattr(more, f.name) for f in fields(self)}
        return ArmCounts(**sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What was counted since the last look, and what stands at the moment."""

    candidate: ArmCounts = field(default_factory=ArmCounts)
    stable: ArmCounts = field(default_factory=ArmCounts)
    slow: Tally = field(default_factory=Tally)
    """Candidate's executions slower than `Progress.slow_above_ms`; none while that is unknown."""
    pairs: PairCounts = field(default_factory=PairCounts)
    stable_p99_ms: float | None = None
    """Of some thousand recent executions of the stable version; None when it has too few."""
    commands: tuple[Command, ...] = ()
    """All that home's state lists for this rollout, oldest first; those carried out are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """All counts are since the phase or stage began.

    `stable` is the exception in a stage without stable traffic: there it keeps what the stage
    before counted, for without a comparison the last step would be blind.
    """

    rollout_id: str
    phase: Phase
    started_at_s: float
    """When this phase or stage began, in seconds since the epoch."""
    stage: int = 0
    """Counted from 1; 0 in the shadow phase."""
    candidate: ArmCounts = field(default_factory=ArmCounts)
    stable: ArmCounts = field(default_factory=ArmCounts)
    slow: Tally = field(default_factory=Tally)
    slow_above_ms: float | None = None
    """Fixed while a stage counts: moving it would make old and new counts two different things."""
    pairs: PairCounts = field(default_factory=PairCounts)
    is_paused: bool = False
    commands: tuple[str, ...] = ()
    """Ids of the commands carried out."""

    @property
    def is_over(self) -> bool:
        return self.phase in {Phase.PROMOTED, Phase.ROLLED_BACK}

    def weight(self, plan: Plan) -> float:
        """Return the share of traffic that the candidate gets now."""
        if self.phase is Phase.STAGE:
            return plan.stage(self.stage).weight
        return 1.0 if self.phase is Phase.PROMOTED else 0.0

    def add(self, observed: Observations, plan: Plan) -> "Progress":
        """Return the progress with the counts added; commands are not carried out by this."""
        above_ms = self.slow_above_ms
        if above_ms is None and observed.stable_p99_ms is not None:
            above_ms = plan.tolerances.slow_above_ms(observed.stable_p99_ms)
        return replace(
            self,
            candidate=self.candidate + observed.candidate,
            stable=self.stable + observed.stable,
            slow=self.slow + observed.slow,
            slow_above_ms=above_ms,
            pairs=self.pairs + observed.pairs,
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"phase": str(self.phase)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Progress":
        """Read what `as_json` wrote. Raises ValueError."""
        try:
            parts = {
                "phase": Phase(document["phase"]),
                "candidate": ArmCounts(**document["candidate"]),
                "stable": ArmCounts(**document["stable"]),
                "slow": Tally(**document["slow"]),
                "pairs": PairCounts(**document["pairs"]),
                "commands": tuple(document["commands"]),
            }
            return cls(**{**document, **parts})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a rollout's progress: {error!r}") from error


def begin(plan: Plan, *, now_s: float) -> Progress:
    """Return the start of a rollout: shadow runs, or the first stage if the plan has none."""
    if plan.shadow is None:
        return Progress(rollout_id=plan.rollout_id, phase=Phase.STAGE, stage=1, started_at_s=now_s)
    return Progress(rollout_id=plan.rollout_id, phase=Phase.SHADOW, started_at_s=now_s)
