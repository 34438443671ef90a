"""Write the program of a linear model: its weights as one text, split once when it is loaded.

The points of all classes of a feature are packed into one whole number, 32 bits a class, so that
one addition adds them all: seven classes cost what one costs. Whole numbers add up the same in
every order, so the answer does not depend on the hash seed or the build of Python.

Runs in: jobs. Talks to: source. Never: runs what it writes.
"""

from collections.abc import Callable, Sequence

import numpy as np

from controlplane.generator.linear import Linear
from controlplane.generator.protocol import TaskBrief
from controlplane.generator.source import WIDTH, constants, docstring, feature_functions
from controlplane.generator.table import Table

HOW = (
    "Strategy: ml. A linear classifier: every feature found in the input (a word, a pair of "
    "words, a trait of the text) adds whole-number points to the classes it speaks for or "
    "against; the class with most points is the answer, and the distance to the others gives "
    "the confidence."
)

READ_WEIGHTS = '''
def pack(points):
    """Return the points of all classes, (class, points) pairs, as one whole number."""
    return sum([amount << (32 * index) for index, amount in points])


def read_weights(text):
    """Return feature → packed points; each line is a feature, a colon, class and points in turn."""
    weights = {}
    for line in text.split("\\n"):
        feature, listed = line.rsplit(":", 1)
        numbers = [int(number) for number in listed.split()]
        weights[feature] = pack(zip(numbers[::2], numbers[1::2], strict=True))
    return weights


'''

RUN = '''
# Every sum starts half way up its 32 bits, so that none of them falls below zero.
MIDDLE = 1 << 31
START = pack([(index, MIDDLE + points) for index, points in enumerate(BIAS)])
SHIFTS = tuple([32 * index for index in range(len(CLASSES))])
MASK = (1 << 32) - 1


def run(input_data):
    """Return the class with most points, and how sure that is."""
    points_of = WEIGHTS.get
    found = features_of(input_data, FIELDS, READ_TEXT)
    total = START + sum([points_of(feature, 0) for feature in found])
    scores = [((total >> shift) & MASK) - MIDDLE for shift in SHIFTS]
    best = max(scores)
    odds = sum([math.exp((score - best) / TEMPERATURE) for score in scores])
    return {"output": CLASSES[scores.index(best)], "confidence": round(1 / odds, 4)}
'''


def render(
    *,
    task: TaskBrief,
    table: Table,
    of_text: Callable[[str], set[str]],
    names: Sequence[str],
    model: Linear,
    temperature: float,
) -> str:
    """Return the text of `program.py`.

    names, model: the features kept and their whole-number weights. temperature: in points.
    """
    bias = tuple(int(points) for points in model.bias)
    return (
        docstring(task, table, HOW)
        + "\nimport math\nimport re\n\n"
        + constants(table, temperature)
        + "# The points every class starts with.\n"
        + f"BIAS = {bias!r}\n\n\n"
        + feature_functions(of_text)
        + "\n"
        + READ_WEIGHTS
        + "WEIGHTS = read_weights(\n"
        + _literal(_weight_lines(names, model))
        + ")\n"
        + RUN.replace("READ_TEXT", getattr(of_text, "__name__", ""))
    )


def _weight_lines(names: Sequence[str], model: Linear) -> list[str]:
    weights = model.weights.astype(np.int64)
    lines = []
    for column, name in enumerate(names):
        pairs = [f"{row} {weights[row, column]}" for row in np.flatnonzero(weights[:, column])]
        lines.append(f"{name}:{' '.join(pairs)}")
    return lines or [":0 0"]


def _literal(lines: Sequence[str]) -> str:
    """Return the lines as one string constant, written as adjacent pieces of readable width."""
    pieces: list[str] = []
    piece = ""
    for index, line in enumerate(lines):
        ending = "\n" if index < len(lines) - 1 else ""
        if piece and len(piece) + len(line) > WIDTH - 16:
            pieces.append(piece)
            piece = ""
        piece += line + ending
    pieces.append(piece)
    return "".join(f"    {text!r}\n" for text in pieces)
