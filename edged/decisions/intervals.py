"""Intervals for a rate, from k hits of n trials.

Pure. Used by: reports, scores and evidence. Never: decides.

Two kinds, and the difference matters. A Wilson interval holds its confidence for one look at a
number of trials fixed beforehand: right for a held-out set. An anytime interval holds it for all
looks together, so it may be shown live beside a sequential test; it is about half as wide again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist

from edged.decisions.mixtures import FLAT, Tally, log_likelihood, log_marginal

_STANDARD_NORMAL = NormalDist()
_HALVINGS = 30  # of an interval at most 2 wide: to 2e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(hits: float, trials: float, *, confidence: float = 0.95) -> Interval:
    """Return the two-sided score interval; 0 to 1 without trials.

    Counts may be fractional: an estimate with weights brings its effective number of trials.
    Source: Wilson, "Probable inference", JASA 1927; recommended over Wald's by Brown, Cai and
    DasGupta, "Interval estimation for a binomial proportion", Statistical Science 2001.
    """
    return _score_interval(hits, trials, _STANDARD_NORMAL.inv_cdf((1 + confidence) / 2))


def wilson_lower(hits: float, trials: float, *, confidence: float = 0.95) -> float:
    """Return the one-sided bound that the rate exceeds with this confidence."""
    return _score_interval(hits, trials, _STANDARD_NORMAL.inv_cdf(confidence)).low


def wilson_upper(hits: float, trials: float, *, confidence: float = 0.95) -> float:
    """Return the one-sided bound that the rate stays under with this confidence."""
    return _score_interval(hits, trials, _STANDARD_NORMAL.inv_cdf(confidence)).high


def anytime(tally: Tally, *, alpha: float = 0.05) -> Interval:
    """Return the rates that no look so far has refuted at level alpha: a confidence sequence.

    Source: beta-binomial mixture of Robbins 1970, as in Howard et al. 2021 (see mixtures.py).
    """
    spread = log_marginal(tally, FLAT) + log(alpha)

    def is_refuted(rate: float) -> bool:
        return log_likelihood(tally, rate) < spread

    return Interval(
        low=boundary(tally.rate, 0.0, is_refuted), high=boundary(tally.rate, 1.0, is_refuted)
    )


def boundary(inside: float, outside: float, is_refuted: Callable[[float], bool]) -> float:
    """Return where values turn refuted on the way from `inside` to `outside`, by halving.

    `outside` itself when not even that is refuted.
    """
    if not is_refuted(outside):
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if is_refuted(middle):
            outside = middle
        else:
            inside = middle
    return outside


def _score_interval(hits: float, trials: float, z: float) -> Interval:
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} hits of {trials} trials")
    if trials == 0:
        return Interval(low=0.0, high=1.0)
    rate = hits / trials
    centre = rate + z * z / (2 * trials)
    reach = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At no hits, or nothing but hits, the bound is exactly 0 or 1; rounding would miss it.
    low = 0.0 if hits == 0 else max(0.0, (centre - reach) / scale)
    high = 1.0 if hits == trials else min(1.0, (centre + reach) / scale)
    return Interval(low=low, high=high)
