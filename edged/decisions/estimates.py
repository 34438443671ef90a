"""The failure rate of all executions, from samples that were not all equally likely to be drawn.

Pure. Used by: reports and patterns. Never: feeds a trigger; that takes uniform audit labels alone.

Where doubtful executions are sampled more, the plain share of failures overstates: TREC read .374
where the truth was .130. Counting each sample for the 1/probability executions it stands for puts
that right.

Each interval is Wilson's at the effective number of trials, the one at which a plain sample would
have the same variance. The plain normal interval misses too often when few failures carry large
weights. The variance is that of independent draws and holds the rate of the process, not merely
that of these executions.

Sources: Horvitz and Thompson, JASA 1952; Hájek 1971, discussion of Basu; Särndal, Swensson and
Wretman, "Model assisted survey sampling", 1992, sections 2.8 and 5.7; Korn and Graubard,
"Confidence intervals for proportions with small expected number of positive counts", Survey
Methodology 1998.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from edged.decisions.intervals import Interval, wilson

CONFIDENCE = 0.98  # people look at these again and again; at .95 one look in twenty misleads


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One sampled execution and whether it was wrong.

    inclusion_probability: that it was drawn at all, by any channel; above 0 and at most 1.
    """

    is_failure: bool
    inclusion_probability: float

    def __post_init__(self) -> None:
        if not 0 < self.inclusion_probability <= 1:
            raise ValueError(f"an inclusion probability of {self.inclusion_probability}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """rate: failures per execution. labels: what it rests on."""

    rate: float
    variance: float
    interval: Interval
    labels: int

    @property
    def standard_error(self) -> float:
        return sqrt(self.variance)


def horvitz_thompson(
    labels: Iterable[Label], *, executions: int, confidence: float = CONFIDENCE
) -> Estimate:
    """Return the estimate for `executions` executions, sampled or not; unbiased.

    Every sampled execution must have its label: one whose label is missing counts as correct.
    """
    if executions < 1:
        raise ValueError("a rate needs executions")
    known = tuple(labels)
    weights = [1 / label.inclusion_probability for label in known if label.is_failure]
    rate = sum(weights) / executions
    squares = sum(weight * weight for weight in weights) / executions
    variance = max(0.0, squares - rate * rate) / executions
    return _estimate(rate, variance, labels=len(known), confidence=confidence)


def hajek(labels: Iterable[Label], *, confidence: float = CONFIDENCE) -> Estimate:
    """Return the weighted share of failures; 0 to 1 without labels.

    Needs no count of executions and bears labels missing at random, for a bias of order 1/labels.
    """
    known = tuple(labels)
    if not known:
        return Estimate(rate=0.0, variance=0.25, interval=wilson(0, 0), labels=0)
    weights = [1 / label.inclusion_probability for label in known]
    total = sum(weights)
    failed = sum(w for w, label in zip(weights, known, strict=True) if label.is_failure)
    rate = failed / total
    variance = sum(
        (weight * (label.is_failure - rate)) ** 2
        for weight, label in zip(weights, known, strict=True)
    )
    return _estimate(rate, variance / total**2, labels=len(known), confidence=confidence)


def _estimate(rate: float, variance: float, *, labels: int, confidence: float) -> Estimate:
    # Weights can add up to more than all executions: the estimate is unbiased, not bounded.
    shown = min(rate, 1.0)
    interval = _interval(shown, variance, labels=labels, confidence=confidence)
    return Estimate(rate=shown, variance=variance, interval=interval, labels=labels)


def _interval(rate: float, variance: float, *, labels: int, confidence: float) -> Interval:
    """Return Wilson's interval at rate(1 - rate)/variance trials, or at all labels for 0/0."""
    spread = rate * (1 - rate)
    trials = spread / variance if spread > 0 and variance > 0 else float(labels)
    return wilson(rate * trials, trials, confidence=confidence)
