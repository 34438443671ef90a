"""E-processes for Bernoulli streams: how strongly k hits of n trials speak against a claimed rate.

Pure. Used by: every sequential test of the project. Never: knows what a hit means.

The idea. Somebody claims "the rate is at most r". Bet against it: start with 1 and multiply, at
each trial, by the likelihood ratio of some higher rate q to r. If the claim is true the stake does
not grow on average, whatever q, so it exceeds 1/alpha with probability at most alpha, *ever* (Ville
1939). We may therefore look after every label and stop when we like, which a p-value or a Wilson
interval forbids: at 15 % failures, looked at every 10 labels, a Wilson test alarms in one run of
three. Since q is unknown we spread the stake over all q by a beta density, cut off at r: the
average of such bets is again one, and has a closed form that depends on k and n alone. So a test's
whole state is two counts, in whatever order and from however many edges they came.

What must hold: each trial's rate, given all before it, obeys the claim, and whether a trial is
counted does not depend on its result. Uniform samples do; records drawn for being doubtful do not.

Alternatives. Wald's SPRT needs q in advance. Alpha spending needs the looks in advance. Stitched
bounds are a little tighter after 10^5 trials and looser where we decide, below 10^3.

Sources: Ville 1939; Robbins, "Statistical methods related to the law of the iterated logarithm",
1970; Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
sequences", Annals of Statistics 2021, one-sided beta-binomial mixture; Ramdas, Grünwald, Vovk and
Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 2023.
"""

from dataclasses import dataclass
from math import inf, log, log1p

from edged.decisions.beta import log_beta, log_beta_above

# How many trials the density's knowledge is worth. At r = .15, alpha = .05, a look every 10 labels,
# medians of 400 runs: 10 alarms after 360 labels at p = .20 and 60 at .30; the flat density after
# 565 and 60; 100 after 400 and 80.
_PRIOR_TRIALS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Hits among trials."""

    hits: int = 0
    trials: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.trials:
            raise ValueError(f"{self.hits} hits of {self.trials} trials")

    def __add__(self, more: "Tally") -> "Tally":
        return Tally(hits=self.hits + more.hits, trials=self.trials + more.trials)

    @property
    def rate(self) -> float:
        """Hits per trial; 0 while there are none."""
        return self.hits / self.trials if self.trials else 0.0

    @property
    def complement(self) -> "Tally":
        return Tally(hits=self.trials - self.hits, trials=self.trials)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A beta density over rates. It decides how fast a test is, never whether it is valid."""

    a: float
    b: float


FLAT = Prior(a=1.0, b=1.0)


def log_likelihood(tally: Tally, rate: float) -> float:
    """Return the log probability of this very sequence of results at `rate`."""
    misses = tally.trials - tally.hits
    if (tally.hits and rate <= 0) or (misses and rate >= 1):
        return -inf
    hit = tally.hits * log(rate) if tally.hits else 0.0
    return hit + (misses * log1p(-rate) if misses else 0.0)


def log_marginal(tally: Tally, prior: Prior) -> float:
    """Return the log probability of this very sequence, the rate being drawn from `prior`."""
    misses = tally.trials - tally.hits
    return log_beta(prior.a + tally.hits, prior.b + misses) - log_beta(prior.a, prior.b)


def log_e_above(tally: Tally, rate: float) -> float:
    """Return the log e-value against "the rate is at most `rate`", 0 < rate < 1.

    Above log(1/alpha) the claim is refuted at level alpha, however often one has looked.
    """
    if not 0 < rate < 1:
        raise ValueError(f"a rate to test lies between 0 and 1, not at {rate}")
    a, b = _PRIOR_TRIALS * rate, _PRIOR_TRIALS * (1 - rate)
    misses = tally.trials - tally.hits
    cut = log_beta_above(rate, a + tally.hits, b + misses) - log_beta_above(rate, a, b)
    return log_marginal(tally, Prior(a=a, b=b)) + cut - log_likelihood(tally, rate)


def log_e_below(tally: Tally, rate: float) -> float:
    """Return the log e-value against "the rate is at least `rate`", 0 < rate < 1."""
    return log_e_above(tally.complement, 1 - rate)
