"""The `rule` strategy: a scorecard of at most 150 words and traits that a person can check.

Runs in: jobs. Talks to: table, linear, source. Never: scores itself on rows it saw.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from controlplane.generator.calibration import temperature
from controlplane.generator.features import word_features
from controlplane.generator.linear import Fitting, Linear, fit, rounded, speaking_for, strongest
from controlplane.generator.protocol import Candidate, Example, Strategy, TaskBrief
from controlplane.generator.rule_source import render
from controlplane.generator.source import short
from controlplane.generator.splits import folds
from controlplane.generator.table import Table, design_of, refusal, table_of

POINTS = 9
LINES = 150  # of the card; on SMS, cross-validated, 100 are .987, 150 .989, 200 .989
MAX_CLASSES = 12  # a wider card is no longer read by anyone
STRETCHES = (1.0, 1.4, 2.0)  # 1.4 and 2 clip the greatest points, small ones become finer
SOFTNESS = 0.3
FOLDS = 3

Ints = NDArray[np.int64]


class RuleGenerator:
    """Proposes an integer scorecard, one line a feature, one column a class."""

    strategy: Strategy = "rule"

    def unsuited(self, task: TaskBrief, examples: Sequence[Example]) -> str | None:  # noqa: ARG002 # the protocol's
        reason = refusal(examples)
        if reason:
            return reason
        classes = len(table_of(examples).classes)
        if classes > MAX_CLASSES:
            return f"a scorecard of {classes} columns is not readable, {MAX_CLASSES} are the most"
        return None

    def propose(
        self, task: TaskBrief, examples: Sequence[Example], report: Callable[[float], None]
    ) -> Candidate:
        table = table_of(examples)
        rows = len(examples)
        design = design_of(table, word_features, min_rows=max(1 + (rows >= 50), rows // 1_000))
        report(0.3)
        scores = _held_out_scores(table, design.matrix, folds(examples, FOLDS, salt="card"))
        report(0.8)
        columns, card, factor = _card(design.matrix, table.labels, len(table.classes))
        names = [design.names[column] for column in columns]
        source = render(
            task=task,
            table=table,
            names=names,
            card=card,
            seen=_seen(table, design.matrix[:, columns]),
            temperature=temperature(scores, table.labels) * factor,
        )
        report(1.0)
        return Candidate(
            strategy=self.strategy,
            source=source,
            returns_confidence=True,
            complexity={
                "features": len(names),
                "weights": int(np.count_nonzero(card.weights)),
                "classes": len(table.classes),
                "source_bytes": len(source.encode()),
            },
            explanation=_explanation(table, names, card),
        )


def _card(matrix: sparse.csr_matrix, labels: Ints, classes: int) -> tuple[Ints, Linear, float]:
    """Return the columns on the card, their points, and points per unit of score.

    The weakest features leave a part at a time and the rest is fitted again: their weights shift
    to what stays, which is worth half a point of accuracy over one cut.
    """
    target = min(LINES, max(12, matrix.shape[0] // 5))
    columns: Ints = np.arange(matrix.shape[1])
    for size in (8 * target, 4 * target, 2 * target, target * 7 // 5, target):
        model = fit(matrix[:, columns], labels, classes, Fitting(softness=SOFTNESS))
        columns = columns[strongest(model, matrix[:, columns], size)]
    small = matrix[:, columns]
    model = fit(small, labels, classes, Fitting(softness=SOFTNESS))
    cards = [rounded(model, limit=POINTS, stretch=stretch) for stretch in STRETCHES]
    card, factor = max(cards, key=lambda pair: _right(pair[0], small, labels))
    telling = np.flatnonzero(card.weights.any(axis=0))
    return columns[telling], card.on(telling), factor


def _right(card: Linear, matrix: sparse.csr_matrix, labels: Ints) -> int:
    return int((card.scores(matrix).argmax(axis=1) == labels).sum())


def _held_out_scores(
    table: Table, matrix: sparse.csr_matrix, fold_of: list[int]
) -> NDArray[np.float64]:
    """Return each row's scores by a card made without its fold, in unrounded units."""
    scores = np.zeros((len(fold_of), len(table.classes)))
    folds_of = np.array(fold_of)
    for fold in np.unique(folds_of):
        inside, outside = folds_of != fold, folds_of == fold
        columns, card, factor = _card(matrix[inside], table.labels[inside], len(table.classes))
        scores[outside] = card.scores(matrix[outside][:, columns]) / factor
    return scores


def _seen(table: Table, matrix: sparse.csr_matrix) -> Ints:
    """Return classes × features: in how many examples of the class the feature occurs."""
    counts = [
        np.asarray(matrix[table.labels == index].sum(axis=0)).ravel()
        for index in range(len(table.classes))
    ]
    return np.array(counts, dtype=np.int64)


def _explanation(table: Table, names: list[str], card: Linear) -> str:
    lines = [f"A scorecard of {len(names)} words, pairs of words and traits, {POINTS} points most."]
    for index, label in enumerate(table.classes):
        own = speaking_for(card, index)
        order = [column for column in np.argsort(-own, kind="stable")[:5] if own[column] > 0]
        listed = ", ".join(f"{names[column]!r} {int(own[column]):+d}" for column in order)
        lines.append(f"{short(label)}: {listed or 'what is left when nothing else speaks up'}.")
    return "\n".join(lines)
