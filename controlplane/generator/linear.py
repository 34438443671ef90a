"""Linear models over features that a row has or has not: fit, shrink, round.

liblinear's dual solver is up to ten times faster where columns outnumber rows, but draws random
numbers from one state for the whole process. Each fit seeds it, and a lock keeps other threads
from drawing in between, so that the same rows always give the same weights.

Runs in: jobs. Talks to: scikit-learn. Never: reads an input or writes a program.
"""

from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.svm import LinearSVC

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scaling = Literal["plain", "idf", "nb", "nb idf"]
SCALINGS: tuple[Scaling, ...] = ("plain", "idf", "nb", "nb idf")

_SOLVER = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How a model is fitted."""

    scaling: Scaling = "plain"
    softness: float = 0.1  # C of the SVM; comparable between scalings, whose mean square is 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """score = bias + the sum of the weights of the features present, for each class."""

    weights: Floats  # classes × features
    bias: Floats  # one a class

    def scores(self, matrix: sparse.csr_matrix) -> Floats:
        """Return rows × classes."""
        return np.asarray(matrix @ self.weights.T) + self.bias

    def on(self, columns: Ints) -> "Linear":
        return Linear(weights=self.weights[:, columns], bias=self.bias)


def fit(matrix: sparse.csr_matrix, labels: Ints, classes: int, how: Fitting) -> Linear:
    """Fit one linear SVM a class; with two classes the first scores 0 and the second the margin."""
    present = np.unique(labels)
    weights = np.zeros((classes, matrix.shape[1]))
    bias = np.full(classes, -1e3)  # a class that was never seen never wins
    if len(present) < 2 or matrix.shape[1] == 0:
        bias[present] = 0.0  # nothing to go by: the earliest class, which is the commonest
        return Linear(weights=weights, bias=bias)
    scale = _scale(matrix, labels, classes, how.scaling)
    wide = matrix.shape[1] > matrix.shape[0]
    model: Any = LinearSVC(C=how.softness, dual=wide, tol=1e-2, random_state=0, max_iter=3_000)
    with _SOLVER:
        model.fit(matrix @ sparse.diags(scale), labels)
    if len(present) == 2:
        weights[present[1]] = model.coef_[0] * scale
        bias[present] = (0.0, model.intercept_[0])
    else:
        weights[present] = model.coef_ * scale
        bias[present] = model.intercept_
    return Linear(weights=weights, bias=bias)


def strongest(model: Linear, matrix: sparse.csr_matrix, count: int) -> Ints:
    """Return the columns, ascending, that move scores most: greatest weight × its spread."""
    seen = np.asarray(matrix.sum(axis=0)).ravel()
    spread = np.sqrt(seen * (matrix.shape[0] - seen))
    order = np.argsort(-np.abs(model.weights).max(axis=0) * spread, kind="stable")
    return np.sort(order[:count])


def rounded(model: Linear, *, limit: int, stretch: float = 1.0) -> tuple[Linear, float]:
    """Return the model in whole numbers from -limit to limit, and the factor used.

    stretch: above 1 clips the greatest weights and gives small ones a finer step. The bias is
    rounded but not clipped.
    """
    greatest = float(np.abs(model.weights).max(initial=0.0))
    # With next to no evidence in the features the bias would grow without bound: 1e4 is plenty.
    factor = min(limit * stretch / greatest, 1e4) if greatest > 0 else 1.0
    weights = np.clip(np.rint(model.weights * factor), -limit, limit)
    return Linear(weights=weights, bias=np.rint(model.bias * factor)), factor


def speaking_for(model: Linear, index: int) -> Floats:
    """Return how much each feature speaks for a class; of two classes the second holds all."""
    if len(model.weights) == 2 and index == 0:
        return np.asarray(-model.weights[1], dtype=np.float64)
    return np.asarray(model.weights[index], dtype=np.float64)


def _scale(matrix: sparse.csr_matrix, labels: Ints, classes: int, scaling: Scaling) -> Floats:
    """Return how much each feature is stretched before fitting, of mean square 1.

    idf: rare features more. nb: features that tell classes apart more, by the log ratio of
    naive Bayes. Source: Wang and Manning 2012.
    """
    scale = np.ones(matrix.shape[1])
    seen = np.asarray(matrix.sum(axis=0)).ravel()
    if "idf" in scaling:
        scale = scale * (np.log((1 + matrix.shape[0]) / (1 + seen)) + 1)
    if "nb" in scaling:
        scale = scale * _naive_bayes_ratio(matrix, labels, classes, seen)
    mean_square = float((scale**2).mean())
    return scale / np.sqrt(mean_square) if mean_square > 0 else np.ones(matrix.shape[1])


def _naive_bayes_ratio(
    matrix: sparse.csr_matrix, labels: Ints, classes: int, seen: Floats
) -> Floats:
    members = sparse.csr_matrix(
        (np.ones(len(labels)), (labels, np.arange(len(labels)))), shape=(classes, len(labels))
    )
    inside = np.asarray((members @ matrix).todense()) + 1.0
    outside = seen + 2.0 - inside
    ratio = np.log(inside / inside.sum(axis=1, keepdims=True))
    ratio -= np.log(outside / outside.sum(axis=1, keepdims=True))
    return np.asarray(np.abs(ratio).max(axis=0), dtype=np.float64)
