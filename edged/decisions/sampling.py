"""Which executions are checked against an oracle, and with what probability each was.

Pure. Used by: the agent, line by line as it follows the log. Never: looks at an input or an output.

Two channels. *Audit* draws uniformly and measures: its labels alone feed the sequential tests.
*Uncertainty* draws the doubtful and finds examples. They draw independently, and a sample knows
which drew it and how likely each, and either, was.

A draw is a keyed hash of the execution's id, not a random number: an agent that is killed and
follows the same lines again draws the same samples, and raising a rate keeps every sample drawn
before. The key is the edge's own, so that nobody who picks ids can steer around the checks.

Sources: Horvitz and Thompson, JASA 1952, for inclusion probabilities; permanent random numbers:
Ohlsson, "Coordination of samples using permanent random numbers", 1995; Lewis and Gale, "A
sequential algorithm for training text classifiers", SIGIR 1994, for sampling by uncertainty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from edged.decisions.intervals import boundary

MAX_SALT_BYTES = 64  # of BLAKE2b's key
_FRACTION_BITS = 53  # what a float between 0 and 1 holds exactly, so that no draw rounds up to 1


class Channel(StrEnum):
    AUDIT = "audit"
    UNCERTAINTY = "uncertainty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Draws samples of one task at one edge.

    salt: the edge's secret, 1 to 64 bytes. steepness: the chance of a draw per unit of doubt, from
    `steepness_for`; it belongs into the follower's checkpoint, for a repeat must draw alike.
    """

    salt: bytes
    audit_rate: float = 0.05
    steepness: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.salt) <= MAX_SALT_BYTES:
            raise ValueError(f"a salt has 1 to {MAX_SALT_BYTES} bytes")
        if not (0 < self.audit_rate <= 1 and self.steepness >= 0):
            # Without audit, confident executions would have no chance, and no weight mends that.
            raise ValueError("audit_rate is above 0 and at most 1, steepness at least 0")

    def sample(self, execution_id: str, confidence: float | None) -> "Sample | None":
        """Return the sample that this execution is, or None. confidence: 0 to 1, if it has one."""
        chances = {
            Channel.AUDIT: self.audit_rate,
            Channel.UNCERTAINTY: uncertainty_chance(confidence, self.steepness),
        }
        draws = tuple(
            Draw(channel=channel, inclusion_probability=chance)
            for channel, chance in chances.items()
            if _point(self.salt, channel, execution_id) < chance
        )
        if not draws:
            return None
        either = 1 - (1 - chances[Channel.AUDIT]) * (1 - chances[Channel.UNCERTAINTY])
        return Sample(draws=draws, inclusion_probability=either)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One channel drew it. inclusion_probability: that this channel would."""

    channel: Channel
    inclusion_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """inclusion_probability: that any channel would draw it, which is what estimates need."""

    draws: tuple[Draw, ...]  # at least one, audit first
    inclusion_probability: float

    @property
    def is_audit(self) -> bool:
        return self.channel is Channel.AUDIT

    @property
    def channel(self) -> Channel:
        """The channel to record: audit, if it drew it, since only its labels may feed a test."""
        return self.draws[0].channel


def uncertainty_chance(confidence: float | None, steepness: float) -> float:
    """Return the chance that the uncertainty channel draws; 0 where there is no confidence.

    Proportional to the doubt: for a calibrated program that is the chance of a failure.
    """
    if confidence is None:
        return 0.0
    return min(1.0, steepness * (1 - min(max(confidence, 0.0), 1.0)))


def steepness_for(confidence_bins: Sequence[int], *, rate: float) -> float:
    """Return the steepness that draws `rate` of the executions, judged by a histogram of the past.

    confidence_bins: counts in equal bins over 0 to 1, as telemetry has them; a bin stands for its
    middle, so the rate is met roughly, for traffic like the past's, and undershot where nearly all
    confidences are close to 1. 0 without a past.
    """
    total = sum(confidence_bins)
    if not total or rate <= 0:
        return 0.0
    bins = len(confidence_bins)
    steepest = 2.0 * bins  # the last bin's middle is half a bin below 1: here all are drawn

    def draws_enough(steepness: float) -> bool:
        chances = (uncertainty_chance((i + 0.5) / bins, steepness) for i in range(bins))
        drawn = sum(n * chance for n, chance in zip(confidence_bins, chances, strict=True))
        return drawn >= rate * total

    return boundary(0.0, steepest, draws_enough)


def _point(salt: bytes, channel: Channel, execution_id: str) -> float:
    """Return the execution's permanent random number in a channel, uniform from 0 to below 1."""
    digest = blake2b(f"{channel}\0{execution_id}".encode(), digest_size=8, key=salt).digest()
    return (int.from_bytes(digest) >> (64 - _FRACTION_BITS)) / (1 << _FRACTION_BITS)
