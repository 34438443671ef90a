"""How likely each hunting channel is to draw an execution, given the traffic before it.

Pure. Used by: the agent's sampler. Never: draws.

Each channel spends about the share of executions that it is given, where a look is worth most:
*uncertainty* where the program doubts, *stratified* where few executions are alike, *temporal*
soon after a version came into use.

Sources: Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994, for
sampling by uncertainty; Cochran, "Sampling techniques", 3rd ed. 1977, section 5A.8, for equal
allocation to strata that are to be known one by one.
"""

from collections.abc import Iterable, Sequence

from edged.decisions.intervals import boundary

_NEGLIGIBLE = 0.001  # below it a decaying chance is none: its weights would be a thousand


def uncertainty_chance(confidence: float | None, steepness: float) -> float:
    """Return the chance by doubt; 0 where there is no confidence.

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


def stratified_chance(count: int, quota: float) -> float:
    """Return the chance in a stratum that `count` executions of the past were in."""
    return min(1.0, quota / max(count, 1))


def quota_for(counts: Iterable[int], *, rate: float) -> float:
    """Return how many draws each stratum gets, so that all together draw `rate` of the past.

    Strata smaller than the quota are drawn whole, and what they leave goes to the larger ones.
    """
    ascending = sorted(count for count in counts if count > 0)
    left = rate * sum(ascending)
    for place, count in enumerate(ascending):
        share = left / (len(ascending) - place)
        if count >= share:
            return share
        left -= count
    return float(max(ascending, default=0))


def temporal_chance(age_s: float, *, peak: float, half_life_s: float) -> float:
    """Return the chance so long after a version came into use: `peak`, halved again and again.

    age_s: below 0, where a clock was set back, counts as 0.
    """
    halvings = max(age_s, 0.0) / half_life_s
    chance = peak * 0.5 ** min(halvings, 64)
    return chance if chance >= _NEGLIGIBLE else 0.0
