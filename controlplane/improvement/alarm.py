"""Does the version that serves fail too often? Open to every look, and quick after a drift.

One test over all labels of a version would sleep for long: a thousand good labels before a drift
have to be outweighed by bad ones after it. So a test begins anew every BLOCK labels, and the alarm
listens to all of them: the weighted sum of the tests' e-values is an e-value itself, because each
test starts at 1, does not grow on average while the failure rate is allowed, and the weights
1/((j+1)(j+2)) of all starts add up to 1. So a version that is good for ever is alarmed about with
probability alpha at most, and a drift after j blocks costs no more than the log of its weight.

Sources: Ville's inequality; the weighting of starts is that of Robbins and of e-detectors, as in
Shin, Ramdas and Rinaldo 2022. Pure. Never: looks at labels of another channel than audit.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any

from edged.decisions.failure import FailureTest
from edged.decisions.intervals import wilson
from edged.decisions.mixtures import Tally

BLOCK = 50  # labels between two starts
RECENT = 2_000  # labels shown as "lately", and starts listened to; older ones are spent


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureEstimate:
    """How often a version fails, as far as its labels tell. interval: 95 %, Wilson."""

    version: int
    labels: int
    failures: int
    rate: float
    interval: tuple[float, float]
    e_value: float  # alarm at 1/alpha
    threshold: float
    allowed_rate: float
    since: int  # the label from which the strongest test counts
    labels_since: int
    rate_since: float  # what failed from there on
    is_alarm: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"interval": list(self.interval)}

    @property
    def words(self) -> str:
        """Return the evidence as a sentence."""
        low, high = self.interval
        return (
            f"v{self.version} failed {self.failures} of {self.labels} audited executions: "
            f"{self.rate:.1%} (95 % interval {low:.1%} to {high:.1%}), "
            f"{self.rate_since:.1%} of the last {self.labels_since}; "
            f"allowed are {self.allowed_rate:.0%}"
        )


def estimate(
    version: int, failures: Sequence[bool], *, earlier: int, test: FailureTest
) -> FailureEstimate:
    """failures: in the order in which they came. earlier: labels before them."""
    logs = _starts(failures, earlier, test)
    total, since = _sum(logs)
    failed, labels = sum(failures), len(failures)
    low, high = _interval(failed, labels)
    lately = failures[since:]
    return FailureEstimate(
        version=version,
        labels=labels,
        failures=failed,
        rate=failed / labels if labels else 0.0,
        interval=(low, high),
        e_value=exp(min(total, 700.0)),
        threshold=1 / test.alpha,
        allowed_rate=test.allowed_rate,
        since=since,
        labels_since=len(lately),
        rate_since=sum(lately) / len(lately) if lately else 0.0,
        is_alarm=total >= log(1 / test.alpha),
    )


def _starts(failures: Sequence[bool], earlier: int, test: FailureTest) -> list[tuple[int, float]]:
    """Return each start with the logarithm of its weight times its e-value."""
    first = max(0, len(failures) - RECENT) // BLOCK * BLOCK
    found = []
    for start in range(first, len(failures), BLOCK):
        block = (earlier + start) // BLOCK
        since = failures[start:]
        value = test.log_e_value(Tally(hits=sum(since), trials=len(since)))
        found.append((start, value - log((block + 1) * (block + 2))))
    return found


def _sum(logs: Sequence[tuple[int, float]]) -> tuple[float, int]:
    """Return the logarithm of the sum, and the start that gives most of it."""
    if not logs:
        return float("-inf"), 0
    since, largest = max(logs, key=lambda pair: pair[1])
    return largest + log(sum(exp(value - largest) for _, value in logs)), since


def _interval(failed: int, labels: int) -> tuple[float, float]:
    interval = wilson(failed, labels)
    return round(interval.low, 6), round(interval.high, 6)
