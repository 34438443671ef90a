"""Write the program of a scorecard: a table of points that a person can read, check and edit.

Runs in: jobs. Talks to: source. Never: runs what it writes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controlplane.generator.features import word_features
from controlplane.generator.linear import Linear
from controlplane.generator.protocol import TaskBrief
from controlplane.generator.source import constants, docstring, feature_functions, short
from controlplane.generator.table import Table

HOW_TWO = (
    "Strategy: rule. A scorecard: every line of POINTS that is found in the input adds its points. "
    "A total above zero means {1}, else the answer is {0}."
)
HOW_MANY = (
    "Strategy: rule. A scorecard: every line of POINTS that is found in the input adds its points, "
    "one column a class in the order of CLASSES. The class with most points is the answer."
)
LEGEND = (
    "# A word or pair stands for itself; @start and @end are the ends of the text, @link a web\n"
    "# address, refu- any longer word that begins so, #5 a number of five digits, =123 that very\n"
    "# number, @length 7 a text of 64 to 127 characters, @digits 3 one with 4 to 7 digits,\n"
    "# @shouted 2 one with two words in capitals, @money one with an amount of money.\n"
)

RUN_TWO = '''

def run(input_data):
    """Return the class that the points speak for, and how sure that is."""
    points_of = POINTS.get
    total = START + sum([points_of(name, 0) for name in features_of(input_data, FIELDS, READ)])
    confidence = round(1 / (1 + math.exp(-abs(total) / TEMPERATURE)), 4)
    return {"output": CLASSES[1] if total > 0 else CLASSES[0], "confidence": confidence}
'''
RUN_MANY = '''

def run(input_data):
    """Return the class with most points, and how sure that is."""
    found = [name for name in features_of(input_data, FIELDS, READ) if name in POINTS]
    totals = [sum(column) for column in zip(START, *[POINTS[name] for name in found], strict=True)]
    best = max(totals)
    odds = sum([math.exp((total - best) / TEMPERATURE) for total in totals])
    return {"output": CLASSES[totals.index(best)], "confidence": round(1 / odds, 4)}
'''


def render(
    *,
    task: TaskBrief,
    table: Table,
    names: Sequence[str],
    card: Linear,
    seen: NDArray[np.int64],
    temperature: float,
) -> str:
    """Return the text of `program.py`.

    seen: classes × names, in how many examples of each class the feature occurs.
    """
    two = len(table.classes) == 2
    how = HOW_TWO.format(*map(short, table.classes)) if two else HOW_MANY
    run = RUN_TWO if two else RUN_MANY
    return (
        docstring(task, table, how)
        + "\nimport math\nimport re\n\n"
        + constants(table, temperature)
        + f"# The points before anything is found.\nSTART = {_start(card, two=two)!r}\n\n"
        + LEGEND
        + f"# Behind each line: in how many examples it was seen, of {_columns(table)}.\n"
        + _points(names, card, seen, two=two)
        + "\n\n"
        + feature_functions(word_features)
        + run.replace("READ", word_features.__name__)
    )


def _columns(table: Table) -> str:
    return ", ".join(short(label) for label in table.classes)


def _start(card: Linear, *, two: bool) -> int | tuple[int, ...]:
    bias = tuple(int(points) for points in card.bias)
    return bias[1] if two else bias


def _points(names: Sequence[str], card: Linear, seen: NDArray[np.int64], *, two: bool) -> str:
    weights = card.weights.astype(np.int64)
    lines = ["POINTS = {\n"]
    for column in _order(weights):
        own = weights[:, column]
        points = f"{own[1]:+d}" if two else "(" + ", ".join(f"{each:+d}" for each in own) + ")"
        counts = ", ".join(str(count) for count in seen[:, column])
        lines.append(f"    {names[column]!r}: {points},  # {counts}\n")
    return "".join([*lines, "}\n"])


def _order(weights: NDArray[np.int64]) -> list[int]:
    """Return the columns, those that speak for the same class together, the loudest first."""
    loudest = weights.argmax(axis=0)
    return sorted(
        range(weights.shape[1]),
        key=lambda column: (-loudest[column], -weights[:, column].max(), weights[:, column].min()),
    )
