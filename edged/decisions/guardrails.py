"""Is the candidate safe to give more traffic: errors, timeouts, slow calls, wrong answers.

Pure. Used by: the rollout, at every look. Never: weighs one harm against another; each must hold.

Two arms. The claim "the candidate's rate is at most the stable one's plus a margin" leaves both
rates open. For any pair of rates the mixtures of the two arms are fair bets, and so is their
product; the claim is refuted when it is large for *every* pair of rates that satisfies the claim.
The smallest has the two marginals above and the best likelihood under the claim below, which lies
where the rates are exactly a margin apart: halving finds it, the logarithm being concave. So the
test is valid at every look, for any split of traffic, and its state is four counts. A confidence
sequence for each arm was the alternative: it mostly took 1.2 to 2 times as many executions.

PASS is as demanding as FAIL: it wants "at least a margin worse" refuted. With margins of 2 % and no
trouble at all that takes some 300 candidate executions, with 2 % errors in both arms some 2,500. A
candidate that always fails is refused within 20, one with 10 % against 1 % after about 200.

Assumes that both arms serve the same mix at the same time, as routing by a hash of the key does.

Sources: Wasserman, Ramdas and Balakrishnan, "Universal inference", PNAS 2020; Turner and Grünwald,
"Exact anytime-valid confidence intervals for contingency tables and beyond", 2023; see mixtures.py.
"""

from dataclasses import dataclass
from math import log

from edged.decisions.evidence import Evidence, percent, silent, weigh
from edged.decisions.intervals import Interval, anytime, boundary
from edged.decisions.mixtures import (
    Prior,
    Tally,
    log_e_above,
    log_e_below,
    log_likelihood,
    log_marginal,
)

# Errors are rare: half of this density lies below .001. Simulated at 2 % margin and alpha = .05, no
# errors in either arm pass after 220 executions (flat on the arcsine scale: 600), 5 % in both after
# 3,400 (4,300), and 10 % against 1 % fail after 175 (195).
_RARE = Prior(a=0.1, b=1.0)
_HALVINGS = 36  # to 1e-11; near its peak the likelihood is flat, so less would do


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How much worse than the stable version a candidate may be."""

    alpha: float = 0.01
    """Chance of refusing what is just within a tolerance; small, as a rollout has many tests."""
    error_margin: float = 0.02
    """More executions that end in error, memory or violation, as a share of all."""
    timeout_margin: float = 0.02
    """The same for the program's own timeouts; what the caller's deadline cut does not count."""
    slow_factor: float = 2.0
    """A call is slow beyond this many times the stable version's p99 ..."""
    slow_floor_ms: float = 2.0
    """... and beyond this in any case: twice very little is still very little."""
    slow_share: float = 0.03
    """Slow calls allowed: three times the 1 % that a p99 leaves."""
    wrong_margin: float = 0.05
    """More wrong answers among audited executions: a net under the shadow test."""

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.slow_share < 1):
            raise ValueError("alpha and slow_share lie between 0 and 1")
        if not all(0 <= m < 1 for m in (self.error_margin, self.timeout_margin, self.wrong_margin)):
            raise ValueError("margins are at least 0 and below 1")

    def slow_above_ms(self, stable_p99_ms: float) -> float:
        """Return the latency beyond which a candidate's call counts as slow."""
        return max(stable_p99_ms * self.slow_factor, self.slow_floor_ms)


def compare(test: str, candidate: Tally, stable: Tally, *, margin: float, alpha: float) -> Evidence:
    """Return PASS when the candidate's rate is shown below stable's plus `margin`, FAIL when above.

    test: what a hit is, in the plural; it opens the sentence, e.g. `wrong_answers`.
    """
    hits = test.replace("_", " ")
    if not (candidate.trials and stable.trials):
        return silent(test, words=f"{hits}: no executions to compare yet", alpha=alpha)
    return weigh(
        test,
        words=f"{hits} {percent(candidate.rate)} against {percent(stable.rate)}, "
        f"{candidate.hits:,} of {candidate.trials:,}",
        n=candidate.trials,
        estimate=candidate.rate - stable.rate,
        interval=_interval(candidate, stable, alpha),
        log_e_fail=_log_e_excess(candidate, stable, margin),
        log_e_pass=_log_e_within(candidate, stable, margin),
        alpha=alpha,
    )


def judge_slow_calls(
    slow: Tally, *, slow_above_ms: float | None, share: float, alpha: float
) -> Evidence:
    """Return whether the candidate's p99 is not inferior, as a test on its share of slow calls.

    slow: candidate calls beyond slow_above_ms, which must stay the same while they are counted.
    """
    if slow_above_ms is None or not slow.trials:
        return silent("slow_calls", words="slow calls: nothing measured yet", alpha=alpha)
    return weigh(
        "slow_calls",
        words=f"{percent(slow.rate)} of calls slower than {slow_above_ms:.1f} ms, allowed "
        f"{percent(share)}, {slow.hits:,} of {slow.trials:,}",
        n=slow.trials,
        estimate=slow.rate,
        interval=anytime(slow, alpha=alpha),
        log_e_fail=log_e_above(slow, share),
        log_e_pass=log_e_below(slow, share),
        alpha=alpha,
    )


def _log_e_excess(candidate: Tally, stable: Tally, margin: float) -> float:
    """Return the log e-value against "candidate at most stable + margin"."""
    is_claim_natural = candidate.rate <= stable.rate + margin
    return _log_ratio(candidate, stable, margin, is_claim_natural=is_claim_natural)


def _log_e_within(candidate: Tally, stable: Tally, margin: float) -> float:
    """Return the log e-value against "candidate at least stable + margin"."""
    is_claim_natural = candidate.rate >= stable.rate + margin
    return _log_ratio(candidate, stable, margin, is_claim_natural=is_claim_natural)


def _log_ratio(candidate: Tally, stable: Tally, margin: float, *, is_claim_natural: bool) -> float:
    """Return the marginals over the best likelihood under the claim.

    is_claim_natural: the observed rates satisfy the claim themselves; else the best lies where the
    rates are `margin` apart.
    """
    rate = stable.rate if is_claim_natural else _best_rate(candidate, stable, margin)
    of_candidate = candidate.rate if is_claim_natural else rate + margin
    best = log_likelihood(candidate, of_candidate) + log_likelihood(stable, rate)
    return log_marginal(candidate, _RARE) + log_marginal(stable, _RARE) - best


def _best_rate(candidate: Tally, stable: Tally, margin: float) -> float:
    """Return the stable rate that makes the counts likeliest, the candidate's a margin above it."""
    low, high = max(0.0, -margin), min(1.0, 1 - margin)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(candidate, middle + margin) + _slope(stable, middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _slope(tally: Tally, rate: float) -> float:
    """Return the derivative of the log likelihood."""
    return _quotient(tally.hits, rate) - _quotient(tally.trials - tally.hits, 1 - rate)


def _quotient(count: int, share: float) -> float:
    return count / max(share, 1e-18) if count else 0.0


def _interval(candidate: Tally, stable: Tally, alpha: float) -> Interval:
    """Return the differences that no look refuted."""
    estimate, threshold = candidate.rate - stable.rate, -log(alpha)

    def is_too_low(margin: float) -> bool:
        return _log_e_excess(candidate, stable, margin) >= threshold

    def is_too_high(margin: float) -> bool:
        return _log_e_within(candidate, stable, margin) >= threshold

    return Interval(
        low=boundary(estimate, -1.0, is_too_low), high=boundary(estimate, 1.0, is_too_high)
    )
