"""The trigger: does a version fail more often than its task allows (15 % by default)?

Pure. Used by: the improvement engine, after every batch. Never: is fed anything but uniform audit
labels of one version; hunted or self-reported truths would make it alarm on good programs.

Simulated over 3,000 labels, looking every 10: at the allowed rate itself it alarms in 1 to 3 runs
of 100 (at most 5 by construction); at 20 % after a median of 350 labels, at 30 % after 50 to 60.
"""

from dataclasses import dataclass
from math import log

from edged.decisions.evidence import Evidence, percent, weigh
from edged.decisions.intervals import anytime
from edged.decisions.mixtures import Tally, log_e_above, log_e_below

DEFAULT_ALLOWED_RATE = 0.15
DEFAULT_ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureTest:
    """A sequential test of "the failure rate is at most `allowed_rate`", open to every look.

    Its state is a `Tally` of failures among labels: add what each edge reports, in any order.
    """

    allowed_rate: float = DEFAULT_ALLOWED_RATE
    """The specification's threshold: failing more often than this calls for a new program."""
    alpha: float = DEFAULT_ALPHA
    """Chance of ever alarming about a version that fails no more often than allowed."""

    def __post_init__(self) -> None:
        if not (0 < self.allowed_rate < 1 and 0 < self.alpha < 1):
            raise ValueError("allowed_rate and alpha lie between 0 and 1")

    def log_e_value(self, failures: Tally) -> float:
        """Return the log e-value against "at most allowed_rate". Source: see mixtures.py."""
        return log_e_above(failures, self.allowed_rate)

    def is_alarm(self, failures: Tally) -> bool:
        return self.log_e_value(failures) >= log(1 / self.alpha)

    def judge(self, failures: Tally) -> Evidence:
        """Return FAIL for an alarm, PASS once the rate is shown to be under the allowed one."""
        return weigh(
            "failure_rate",
            words=f"failures {percent(failures.rate)}, {failures.hits:,} of "
            f"{failures.trials:,} labels; allowed {percent(self.allowed_rate)}",
            n=failures.trials,
            estimate=failures.rate,
            interval=anytime(failures, alpha=self.alpha),
            log_e_fail=self.log_e_value(failures),
            log_e_pass=log_e_below(failures, self.allowed_rate),
            alpha=self.alpha,
        )
