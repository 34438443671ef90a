"""Find the recipe of a linear model by cross-validation: reading, scaling, softness, size.

One choice after the other rather than all combinations: on the six measured data sets the choices
hardly interact, and a full grid would take ten times as long. Each choice keeps the simplest
option within one standard error of the best, so character runs (four times slower programs) and
large tables must earn their place.

Runs in: jobs. Talks to: linear, intervals. Never: sees a row that its caller holds out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from controlplane.generator.calibration import temperature
from controlplane.generator.intervals import simplest_as_good
from controlplane.generator.linear import SCALINGS, Fitting, fit, rounded, strongest

Ints = NDArray[np.int64]

# To compare readings by. Five times as many features tell the same story: each may say less.
FIRST_SOFTNESS = {"words": 0.1, "characters": 0.02}
SOFTNESSES = (0.01, 0.03, 0.1, 0.3, 1.0)
FEATURE_COUNTS = (1_000, 3_000, 6_000, 12_000)
MAX_WEIGHTS = 60_000  # features × classes; about 250 kB of source
WEIGHT_LIMIT = 40  # whole-number weights; 30 lost nothing on six data sets, 999 won nothing
READING_SLACK = 0.005  # of the rows; reading characters makes a program four times slower
SEARCH_ROWS = 4_000  # enough to rank recipes; the model itself is fitted on all rows
SIZING_ROWS = 9_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything about a model but the rows it is fitted on."""

    reading: str
    fitting: Fitting = field(default_factory=Fitting)
    features: int = FEATURE_COUNTS[0]
    temperature: float = 1.0  # in units of unrounded scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows that a search may use, under each reading; all in the same order."""

    readings: dict[str, sparse.csr_matrix]  # simplest first
    labels: Ints
    folds: Ints
    classes: int

    def first(self, count: int) -> "Rows":
        """Return at most count rows, evenly spread."""
        if len(self.labels) <= count:
            return self
        kept = np.linspace(0, len(self.labels) - 1, count).astype(np.int64)
        return Rows(
            readings={name: matrix[kept] for name, matrix in self.readings.items()},
            labels=self.labels[kept],
            folds=self.folds[kept],
            classes=self.classes,
        )


def find_recipe(rows: Rows, report: Callable[[float], None]) -> Recipe:
    """Return the recipe to fit all rows with."""
    few = rows.first(SEARCH_ROWS)
    by_reading = {}
    for step, reading in enumerate(rows.readings):
        softness = FIRST_SOFTNESS[reading]
        fittings = [Fitting(scaling=scaling, softness=softness) for scaling in SCALINGS]
        by_reading[reading] = _most_right(few, reading, fittings)
        report(0.4 * (step + 1) / len(rows.readings))
    marks = {reading: right for reading, (_, right) in by_reading.items()}
    recipe, _ = by_reading[simplest_as_good(marks, slack=READING_SLACK)]
    fittings = [replace(recipe.fitting, softness=softness) for softness in SOFTNESSES]
    recipe, _ = _most_right(few, recipe.reading, fittings)
    report(0.6)
    recipe = _sized(rows.first(SIZING_ROWS), recipe)
    report(1.0)
    return recipe


def _most_right(rows: Rows, reading: str, fittings: Sequence[Fitting]) -> tuple[Recipe, list[bool]]:
    """Return the recipe with most rows right out of fold, and its marks; ties: the first."""
    recipes = [Recipe(reading=reading, fitting=fitting) for fitting in fittings]
    scored = [(recipe, _marks(rows, _scores(rows, recipe))) for recipe in recipes]
    return max(scored, key=lambda pair: sum(pair[1]))


def _scores(rows: Rows, recipe: Recipe) -> NDArray[np.float64]:
    matrix = rows.readings[recipe.reading]
    scores = np.zeros((len(rows.labels), rows.classes))
    for fold in np.unique(rows.folds):
        inside, outside = rows.folds != fold, rows.folds == fold
        model = fit(matrix[inside], rows.labels[inside], rows.classes, recipe.fitting)
        scores[outside] = model.scores(matrix[outside])
    return scores


def _sized(rows: Rows, recipe: Recipe) -> Recipe:
    """Return the recipe with the fewest features that serve, and the temperature found there."""
    counts = _feature_counts(rows, recipe)
    scores = {str(count): np.zeros((len(rows.labels), rows.classes)) for count in counts}
    for fold in np.unique(rows.folds):
        inside, outside = rows.folds != fold, rows.folds == fold
        for count, found in _shrunk_scores(rows, recipe, inside, counts):
            scores[str(count)][outside] = found[outside]
    chosen = simplest_as_good({name: _marks(rows, found) for name, found in scores.items()})
    fitted = temperature(scores[chosen], rows.labels)
    return replace(recipe, features=int(chosen), temperature=fitted)


def _feature_counts(rows: Rows, recipe: Recipe) -> list[int]:
    room = MAX_WEIGHTS // rows.classes
    most = rows.readings[recipe.reading].shape[1]
    counts = [count for count in FEATURE_COUNTS if count <= min(room, most)]
    return counts or [min(FEATURE_COUNTS[0], most)]


def _shrunk_scores(
    rows: Rows, recipe: Recipe, inside: NDArray[np.bool_], counts: Sequence[int]
) -> list[tuple[int, NDArray[np.float64]]]:
    """Return all rows' scores by the rounded model of each size, fitted on the rows inside."""
    labels = rows.labels[inside]
    matrix = rows.readings[recipe.reading]
    full = fit(matrix[inside], labels, rows.classes, recipe.fitting)
    found = []
    for count in counts:
        columns = strongest(full, matrix[inside], count)
        small = fit(matrix[inside][:, columns], labels, rows.classes, recipe.fitting)
        whole, factor = rounded(small, limit=WEIGHT_LIMIT)
        found.append((count, whole.scores(matrix[:, columns]) / factor))
    return found


def _marks(rows: Rows, scores: NDArray[np.float64]) -> list[bool]:
    return [bool(right) for right in scores.argmax(axis=1) == rows.labels]
