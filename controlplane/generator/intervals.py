"""How sure a score is, and when a simpler program is as good as a better one.

Runs in: jobs. Talks to: nothing. Never: looks at a program or an input.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

Z_95 = 1.959964  # two-sided 95 % of the normal distribution


def wilson(correct: float, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion. Source: Wilson 1927.

    correct: may be a fraction when repeated scores were averaged. With no rows: (0, 1).
    """
    if total == 0:
        return (0.0, 1.0)
    share = correct / total
    spread = Z_95 * sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    centre = share + Z_95**2 / (2 * total)
    scale = 1 + Z_95**2 / total
    return (max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def simplest_as_good(marks: Mapping[str, Sequence[bool]], *, slack: float = 0.0) -> str:
    """Return the first name whose marks are within one standard error of the best.

    marks: name → right or wrong, row by row over the same rows; simplest name first.
    slack: share of the rows that being simpler is worth even where the difference is sure.
    All answered the same rows, so the error is that of the paired difference: rows where two
    agree say nothing about who is better. With d rows in disagreement it is √d rows.
    """
    best = max(marks, key=lambda name: sum(marks[name]))  # ties: the simplest
    for name, own in marks.items():
        behind = sum(marks[best]) - sum(own)
        disagreed = sum(mine != theirs for mine, theirs in zip(own, marks[best], strict=True))
        if behind <= max(sqrt(disagreed), slack * len(own)):
            return name
    return best
