"""Is it worth leaving old rows out of the training? Asked of a small model, on held-out new rows.

An answer that turns out wrong most of the time can mean two things. The label changed its meaning:
then examples that still carry it teach what is no longer true. Or the texts changed: then the
examples are as true as ever, and leaving them out would lose a class. So both trainings are tried
with a plain linear model of words, on the newest labelled rows, each predicted by models that have
not seen it; old rows go only where that is shown to be better.
Runs in: jobs, in a thread; a second for five thousand rows. Never: decides by a single row.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controlplane.generator.features import word_features
from controlplane.generator.linear import Fitting, fit
from controlplane.generator.protocol import Example
from controlplane.generator.table import design_of, table_of
from controlplane.improvement.contest import MAX_P_VALUE, chance_of

FOLDS = 3
SOFTNESS = 0.3

Flags = NDArray[np.bool_]


def is_better_without(
    current: Sequence[Example], stale: Sequence[Example], newest: Sequence[Example]
) -> bool:
    """Say whether a model of `current` does better on `newest` than one of both.

    newest: labelled rows; those of them that are in `current` decide.
    """
    rows = [*current, *stale]
    if len({str(row.output) for row in current}) < 2:
        return False
    table = table_of(rows)
    matrix = design_of(table, word_features, min_rows=1).matrix
    is_stale = np.arange(len(rows)) >= len(current)
    asked = {id(row) for row in newest}
    places = [place for place, row in enumerate(current) if id(row) in asked]
    fold_of = np.full(len(rows), -1)
    fold_of[places] = np.arange(len(places)) % FOLDS

    def marks(usable: Flags) -> Flags:
        right = np.zeros(len(rows), dtype=np.bool_)
        for fold in range(FOLDS):
            inside, outside = usable & (fold_of != fold), fold_of == fold
            labels = table.labels[inside]
            model = fit(matrix[inside], labels, len(table.classes), Fitting(softness=SOFTNESS))
            right[outside] = model.scores(matrix[outside]).argmax(axis=1) == table.labels[outside]
        return right[places]

    with_all, without = marks(np.ones(len(rows), dtype=np.bool_)), marks(~is_stale)
    wins, losses = int((without & ~with_all).sum()), int((with_all & ~without).sum())
    return wins > losses and chance_of(wins, wins + losses) <= MAX_P_VALUE
