"""Which rows train, which choose between strategies, and which only the final score sees.

Runs in: jobs. Talks to: splits. Never: looks at a program.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.generator.protocol import Example
from controlplane.generator.splits import folds, seal
from controlplane.generator.table import canonical

SEALABLE = 100  # examples; with fewer every row is needed for training, and the score is CV's
SMALL = 1_000  # up to here many folds are cheap
MANY_FOLDS = 5
LONG = 400_000  # characters of input in all; beyond, one fold says enough and costs a fifth


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One fold: what to train on, and what to choose by. Indices of examples."""

    training: tuple[int, ...]
    choosing: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sides of all rows. The shipped program trains on `open`, sealed rows only score it."""

    open: tuple[int, ...]
    sealed: tuple[int, ...]  # empty when there are too few examples
    trials: tuple[Trial, ...]
    rounds: int  # how often each row chosen by appears in the trials

    @property
    def once(self) -> tuple[tuple[int, ...], tuple[Trial, ...]]:
        """Return the rows for a strategy that can propose only once, and the trials that judge it.

        The others were judged on the very same rows by these trials, so the two compare in pairs.
        Two folds of five, since such a strategy needs few rows and a fair comparison many.
        """
        trials = self.trials[:2] if len(self.trials) >= MANY_FOLDS else self.trials[:1]
        judging = {row for trial in trials for row in trial.choosing}
        return tuple(row for row in self.open if row not in judging), trials

    @property
    def is_low_evidence(self) -> bool:
        return not self.sealed


def plan_for(examples: Sequence[Example]) -> Plan:
    """Deal the rows: repeated CV of all rows when they are few, else a sealed part and folds."""
    if len(examples) < SEALABLE:
        rows = list(range(len(examples)))
        rounds = ("round 1", "round 2")
        trials = [trial for each in rounds for trial in _trials(examples, rows, MANY_FOLDS, each)]
        return Plan(open=tuple(rows), sealed=(), trials=tuple(trials), rounds=len(rounds))
    rows, sealed = seal(examples)
    written = sum(len(canonical(example.input)) for example in examples)
    if written > LONG:
        trials = _trials(examples, rows, 4, "fold")[:1]
    else:
        trials = _trials(examples, rows, MANY_FOLDS if len(rows) <= SMALL else 3, "fold")
    return Plan(open=tuple(rows), sealed=tuple(sealed), trials=tuple(trials), rounds=1)


def _trials(examples: Sequence[Example], rows: Sequence[int], count: int, salt: str) -> list[Trial]:
    fold_of = folds([examples[row] for row in rows], count, salt=salt)
    dealt = list(zip(rows, fold_of, strict=True))
    return [
        Trial(
            training=tuple(row for row, fold in dealt if fold != own),
            choosing=tuple(row for row, fold in dealt if fold == own),
        )
        for own in range(count)
    ]
