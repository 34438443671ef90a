"""The shadow test: candidate and stable version on the same inputs, labelled where they disagree.

Pure. Used by: the rollout. Never: needs a label for a pair that agrees.

The idea. Let x be 1 where only the stable version is right, -1 where only the candidate is, else 0.
The mean of x is by how much more often the candidate fails. Where both give the same answer x is 0
whatever the truth, so the oracle is asked about disagreements alone. With what two programs for
TREC did (failures .262 against .160; of all inputs .108 right by the candidate alone, .006 by the
stable one alone, .026 differently wrong by both) it decides after 9 labels among 68 inputs, medians
of 60 runs; comparing the arms' own failure rates takes over a thousand labels.

To show the mean is below a margin m, bet: multiply the stake by 1 + s(m - x) at each pair, where
0 < s < 1/(1 - m) so that no result loses it all. While the mean is at least m the stake does not
grow, so reaching 1/alpha refutes that, at any look. s is unknown, so the stake is spread evenly
over a grid of s. The result depends on three counts alone. At m = 0 this is McNemar's question and
the mixture of the sign test on p = 1/2: pairs that agree move nothing. At m > 0 they carry the
proof: each one that agrees is a pair where the candidate is no worse.

Pairs whose label is still out. At m = 0 they are left aside: the rest is a fair sample of the
disagreements. At m > 0 that would count agreement in full and disagreement in part, so they are
counted against whichever verdict is being tested, which can delay a verdict and never fake one.

Sources: McNemar, Psychometrika 1947; Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting", JRSS B 2024; Ramdas et al. 2023 (see mixtures.py).
"""

from dataclasses import dataclass
from math import exp, log, log1p

from edged.decisions.evidence import Evidence, silent, weigh
from edged.decisions.intervals import Interval, boundary

_STAKES = tuple((step + 0.5) / 40 for step in range(40))  # shares of the largest stake allowed
_ALMOST_ONE = 1 - 1e-9  # at a margin of 1 the largest stake would be infinite


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCounts:
    """Inputs that both versions ran on. A label may come later than its pair: counts add up."""

    agreed: int = 0
    disagreed: int = 0
    candidate_right: int = 0  # of the disagreements labelled so far: the stable version was wrong
    stable_right: int = 0  # the candidate was wrong
    neither_right: int = 0  # both wrong, differently

    def __add__(self, more: "PairCounts") -> "PairCounts":
        return PairCounts(
            agreed=self.agreed + more.agreed,
            disagreed=self.disagreed + more.disagreed,
            candidate_right=self.candidate_right + more.candidate_right,
            stable_right=self.stable_right + more.stable_right,
            neither_right=self.neither_right + more.neither_right,
        )

    @property
    def pairs(self) -> int:
        return self.agreed + self.disagreed

    @property
    def labels(self) -> int:
        return self.candidate_right + self.stable_right + self.neither_right

    @property
    def unlabelled(self) -> int:
        return max(0, self.disagreed - self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscordanceTest:
    """PASS when the candidate's failure rate is shown under the stable one's plus `margin`.

    FAIL when it is shown to be above that. margin 0: the candidate has to be better.
    """

    margin: float = 0.0
    """Failure rate we would give away, e.g. for a simpler program; 0 for what must improve."""
    alpha: float = 0.05
    """Chance of ever giving the wrong verdict, for each of the two."""

    def __post_init__(self) -> None:
        if not (0 <= self.margin < 1 and 0 < self.alpha < 1):
            raise ValueError("margin is at least 0 and below 1, alpha lies between 0 and 1")

    def judge(self, counts: PairCounts) -> Evidence:
        if not counts.pairs:
            return silent("shadow", words="no shadow runs yet", alpha=self.alpha)
        unlabelled = counts.unlabelled if self.margin else 0
        return weigh(
            "shadow",
            words=_words(counts),
            n=counts.pairs,
            estimate=_estimate(counts),
            interval=_interval(counts, self.alpha),
            log_e_fail=_log_e_worse(counts, self.margin, unlabelled),
            log_e_pass=_log_e_within(counts, self.margin, unlabelled),
            alpha=self.alpha,
        )


def _log_e_within(counts: PairCounts, margin: float, unlabelled: int) -> float:
    """Return the log e-value against "the mean of x is at least margin"."""
    against = counts.stable_right + unlabelled
    return _log_stake(counts.candidate_right, against, counts.agreed + counts.neither_right, margin)


def _log_e_worse(counts: PairCounts, margin: float, unlabelled: int) -> float:
    """Return the log e-value against "the mean of x is at most margin": the mirror image."""
    against = counts.candidate_right + unlabelled
    return _log_stake(counts.stable_right, against, counts.agreed + counts.neither_right, -margin)


def _log_stake(wins: int, losses: int, even: int, margin: float) -> float:
    """Return the log of what the bets made of 1, averaged over the grid. margin: -1 to 1."""
    logs = []
    for share in _STAKES:
        stake = share / (1 - margin)
        gained = wins * log1p(stake * (1 + margin)) + even * log1p(stake * margin)
        logs.append(gained + losses * log1p(-share))
    largest = max(logs)
    return largest + log(sum(exp(value - largest) for value in logs) / len(logs))


def _estimate(counts: PairCounts) -> float:
    """Return by how much the candidate fails more often, of all pairs whose x is known."""
    known = counts.pairs - counts.unlabelled
    return (counts.stable_right - counts.candidate_right) / known if known else 0.0


def _interval(counts: PairCounts, alpha: float) -> Interval:
    """Return the margins that no look refuted. The e-values are monotone in the margin."""
    estimate, threshold = _estimate(counts), log(2 / alpha)  # alpha is shared by the two sides

    def is_too_high(margin: float) -> bool:
        return _log_e_within(counts, margin, counts.unlabelled) >= threshold

    def is_too_low(margin: float) -> bool:
        return _log_e_worse(counts, margin, counts.unlabelled) >= threshold

    return Interval(
        low=boundary(estimate, -_ALMOST_ONE, is_too_low),
        high=boundary(estimate, _ALMOST_ONE, is_too_high),
    )


def _words(counts: PairCounts) -> str:
    return (
        f"candidate alone right in {counts.candidate_right:,} of {counts.labels:,} labelled "
        f"disagreements, stable alone in {counts.stable_right:,}; {counts.pairs:,} inputs compared"
    )
