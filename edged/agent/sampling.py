"""Draw the executions that are checked, task by task, as the log is followed.

Runs in: the agent. Talks to: state/sampling.salt. Never: remembers what it drew; a restart draws
the same samples again.

How doubtful an execution must be to be drawn for its doubt depends on the traffic before it: that
is `Doubt`, a value that belongs to a position in the log and goes into the checkpoint with it.
"""

import secrets
from dataclasses import dataclass, replace
from typing import Final

from edged.datasets.layout import Layout
from edged.decisions.sampling import Sample, Sampler, steepness_for
from edged.deployment.checking import Sampling
from edged.files import write_whole

SALT_BYTES: Final = 32
CONFIDENCE_BINS: Final = 10
PERIOD_EXECUTIONS: Final = 1_000  # the steepness follows a drift within so many
_NOTHING_YET: Final = (0,) * CONFIDENCE_BINS


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """steepness: in force. bins: confidences seen since it came into force, for the next one."""

    steepness: float = 0.0
    bins: tuple[int, ...] = _NOTHING_YET


class TaskSampler:
    """Draws for one task at one edge."""

    def __init__(self, settings: Sampling, salt: bytes) -> None:
        self._is_hunting = settings.strategy == "uncertainty"
        self._uncertainty_rate = settings.uncertainty_rate
        self._sampler = Sampler(salt=salt, audit_rate=settings.rate)

    def sample(self, execution_id: str, confidence: float | None, doubt: Doubt) -> Sample | None:
        """Return the sample that this execution is, or None."""
        steepness = doubt.steepness if self._is_hunting else 0.0
        if steepness != self._sampler.steepness:
            self._sampler = replace(self._sampler, steepness=steepness)
        return self._sampler.sample(execution_id, confidence)

    def after(self, confidence: float | None, doubt: Doubt) -> Doubt:
        """Return the doubt for the next execution."""
        if confidence is None or not self._is_hunting:
            return doubt
        index = min(max(int(confidence * CONFIDENCE_BINS), 0), CONFIDENCE_BINS - 1)
        bins = (*doubt.bins[:index], doubt.bins[index] + 1, *doubt.bins[index + 1 :])
        if sum(bins) < PERIOD_EXECUTIONS:
            return Doubt(steepness=doubt.steepness, bins=bins)
        return Doubt(steepness=steepness_for(bins, rate=self._uncertainty_rate))


def sampling_salt(layout: Layout) -> bytes:
    """Return this edge's salt; the first call makes it, readable by its owner only.

    Whoever knew it could choose ids that are never checked.
    """
    path = layout.state / "sampling.salt"
    if not path.exists():
        layout.state.mkdir(parents=True, exist_ok=True)
        write_whole(path, secrets.token_bytes(SALT_BYTES), mode=0o600)
    return path.read_bytes()
