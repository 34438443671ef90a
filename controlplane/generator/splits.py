"""Who may see which row: the sealed rows that only the final score sees, and the folds.

Rows with the same input always fall on the same side, or a program would be asked what it was
told. Everything is decided by hashes of the inputs, so the same examples give the same sides.

Runs in: jobs. Talks to: nothing. Never: draws random numbers.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from controlplane.generator.protocol import Example
from controlplane.generator.table import canonical

SEALED_SHARE = 0.1
SEALED_MIN = 30  # rows; fewer give an interval too wide to mean anything
SEALED_MAX = 1_500  # rows; more narrow the interval by less than training rows are worth


def seal(examples: Sequence[Example]) -> tuple[list[int], list[int]]:
    """Return the indices of the open and of the sealed rows; classes keep their shares."""
    wanted = min(SEALED_MAX, max(SEALED_MIN, round(SEALED_SHARE * len(examples))))
    sealed: set[int] = set()
    room = (
        0  # rows × examples; carried from class to class, or many small classes would seal nothing
    )
    for groups in _groups_by_class(examples, salt="seal").values():
        room += wanted * sum(len(group) for group in groups)
        for group in groups[:-1]:  # a class keeps at least one input to learn from
            if len(group) * len(examples) <= room:
                sealed.update(group)
                room -= len(group) * len(examples)
    return [row for row in range(len(examples)) if row not in sealed], sorted(sealed)


def folds(examples: Sequence[Example], count: int, *, salt: str) -> list[int]:
    """Return each row's fold, 0 to count - 1; every class is spread over the folds."""
    fold_of = [0] * len(examples)
    turn = 0
    for groups in _groups_by_class(examples, salt=salt).values():
        for group in groups:
            for row in group:
                fold_of[row] = turn % count
            turn += 1
    return fold_of


def _groups_by_class(examples: Sequence[Example], *, salt: str) -> dict[str, list[list[int]]]:
    """Group rows of one input; file a group under its commonest class, in the order of hashes."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        rows_of[canonical(example.input)].append(row)
    keyed = {
        hashlib.sha256(f"{salt}\n{text}".encode()).digest(): rows for text, rows in rows_of.items()
    }
    by_class: dict[str, list[list[int]]] = defaultdict(list)
    for key in sorted(keyed):
        labels = Counter(canonical(examples[row].output) for row in keyed[key])
        by_class[min(labels, key=lambda label: (-labels[label], label))].append(keyed[key])
    return dict(sorted(by_class.items()))
