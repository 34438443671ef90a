"""Candidate against incumbent on sealed rows: better only where a test says so.

Both run in the jailed pool on the same rows. Rows where both are right, or both wrong, say nothing
about which is better; on the others a coin would favour each alike, so the candidate's share of
them is tested against one half. Source: McNemar, Psychometrika 1947, in its exact one-sided form.
Pure. Never: counts a tie as a win.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

from edged.decisions.intervals import wilson

MAX_P_VALUE = 0.05  # chance that a candidate no better than the incumbent wins


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How both did on the same rows."""

    rows: int
    candidate_right: int
    incumbent_right: int
    only_candidate: int
    only_incumbent: int
    p_value: float
    interval: tuple[float, float]  # 95 %, of the candidate's accuracy
    is_better: bool
    words: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"interval": list(self.interval)}


def compare(candidate: Sequence[bool], incumbent: Sequence[bool]) -> Result:
    """Both: right or wrong, row by row over the same rows."""
    rows = len(candidate)
    wins = sum(mine and not theirs for mine, theirs in zip(candidate, incumbent, strict=True))
    losses = sum(theirs and not mine for mine, theirs in zip(candidate, incumbent, strict=True))
    p_value = chance_of(wins, wins + losses)
    is_better = wins > losses and p_value <= MAX_P_VALUE
    interval = wilson(sum(candidate), rows)
    return Result(
        rows=rows,
        candidate_right=sum(candidate),
        incumbent_right=sum(incumbent),
        only_candidate=wins,
        only_incumbent=losses,
        p_value=round(p_value, 6),
        interval=(round(interval.low, 4), round(interval.high, 4)),
        is_better=is_better,
        words=_words(rows, sum(candidate), sum(incumbent), is_better=is_better)
        + f" (alone right on {wins} against {losses}, p = {p_value:.3f})",
    )


def chance_of(wins: int, tosses: int) -> float:
    """Return how likely at least so many wins are by a fair coin; 1 without tosses."""
    favourable: int = sum(comb(tosses, count) for count in range(wins, tosses + 1))
    return float(favourable / 2**tosses)


def _words(rows: int, candidate: int, incumbent: int, *, is_better: bool) -> str:
    verdict = "the candidate is better" if is_better else "the candidate is not shown to be better"
    return f"{verdict}: right on {candidate} of {rows} sealed rows, the incumbent on {incumbent}"
