"""What a test found, for the machine that acts on it and for the person who asks why.

Pure. Used by: every test; stored with every decision, shown by `loopai rollouts`. Never: decides
what to do about it.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import exp, log
from typing import Any

from edged.decisions.intervals import Interval

_LOG_LARGEST = 690.0  # beyond it exp overflows; nobody needs more than 1e299 : 1


class Verdict(StrEnum):
    """INCONCLUSIVE waits: it is never a pass, and never counts against a candidate."""

    PASS = "PASS"  # noqa: S105 not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One test's verdict, with everything needed to check it by hand.

    n: observations that the estimate rests on. low, high: an interval that holds at every look.
    log_e_fail, log_e_pass: how strongly the counts speak for either verdict; at log_threshold one
    is reached.
    """

    test: str
    verdict: Verdict
    words: str
    n: int
    estimate: float
    low: float
    high: float
    log_e_fail: float
    log_e_pass: float
    log_threshold: float

    @property
    def e_value(self) -> float:
        """The odds, to 1, of the verdict that is nearer."""
        return exp(min(max(self.log_e_fail, self.log_e_pass), _LOG_LARGEST))

    def as_json(self) -> dict[str, Any]:
        document = asdict(self) | {"verdict": str(self.verdict), "e_value": self.e_value}
        return document | {"threshold": exp(self.log_threshold)}


def weigh(
    test: str,
    *,
    words: str,
    n: int,
    estimate: float,
    interval: Interval,
    log_e_fail: float,
    log_e_pass: float,
    alpha: float,
) -> Evidence:
    """Return the evidence with the verdict that its e-values amount to at level alpha."""
    threshold = log(1 / alpha)
    return Evidence(
        test=test,
        verdict=_verdict(log_e_fail, log_e_pass, threshold),
        words=words,
        n=n,
        estimate=estimate,
        low=interval.low,
        high=interval.high,
        log_e_fail=log_e_fail,
        log_e_pass=log_e_pass,
        log_threshold=threshold,
    )


def silent(test: str, *, words: str, alpha: float) -> Evidence:
    """Return the evidence of a test that has nothing to look at yet."""
    nothing = Interval(low=-1.0, high=1.0)
    return weigh(
        test,
        words=words,
        n=0,
        estimate=0.0,
        interval=nothing,
        log_e_fail=0.0,
        log_e_pass=0.0,
        alpha=alpha,
    )


def percent(share: float) -> str:
    """Return `0.042` as people read it: `4.2 %`."""
    return f"{100 * share:.1f} %"


def _verdict(log_e_fail: float, log_e_pass: float, log_threshold: float) -> Verdict:
    if log_e_fail >= log_threshold:
        return Verdict.FAIL
    return Verdict.PASS if log_e_pass >= log_threshold else Verdict.INCONCLUSIVE
