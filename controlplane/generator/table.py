"""Examples as a table: which fields are read, which classes there are, which features each has.

Runs in: jobs. Talks to: features. Never: chooses between features or fits anything.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from controlplane.generator.features import features_of
from controlplane.generator.protocol import Example

MAX_CLASSES = 200  # more is a lookup or free text, not a label
MAX_FIELDS = 50
MIN_EXAMPLES = 10  # below, cross-validation says nothing

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Examples with their classes numbered."""

    fields: Fields  # (name, prefix of its features)
    classes: tuple[Any, ...]  # most frequent first: ties go to the likelier class
    labels: NDArray[np.int64]  # an index into classes for each row
    inputs: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Which row has which feature."""

    matrix: sparse.csr_matrix  # rows × features, of ones
    names: tuple[str, ...]  # ascending


def canonical(value: Any) -> str:
    """Return one text for one JSON value, so that 1, 1.0, true and "1" stay apart."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def refusal(examples: Sequence[Example]) -> str | None:
    """Return why no classifier can be made of the examples, None when one can."""
    different = len({canonical(example.input) for example in examples})
    if different < MIN_EXAMPLES:
        return f"too few examples: {different} different inputs, {MIN_EXAMPLES} are the least"
    if any(isinstance(example.output, dict | list) for example in examples):
        return "the outputs are not labels: some are objects or lists"
    classes = {canonical(example.output) for example in examples}
    if len(classes) == 1:
        return f"all examples have the same output, {min(classes)}: there is nothing to tell apart"
    if len(classes) > MAX_CLASSES or len(classes) > len(examples) // 2:
        return f"the outputs are not labels: {len(classes)} different in {len(examples)} examples"
    if not fields_of([example.input for example in examples]):
        return "no field of the inputs holds a text, a number or a true/false value"
    return None


def fields_of(inputs: Sequence[Any]) -> Fields:
    """Return the fields worth reading; a lone field's features need no prefix."""
    if any(isinstance(value, str) for value in inputs):
        return (("", ""),)
    names = {
        name
        for value in inputs
        if isinstance(value, dict)
        for name, part in value.items()
        if isinstance(part, str | int | float)
    }
    kept = sorted(names)[:MAX_FIELDS]
    if len(kept) == 1:
        return ((kept[0], ""),)
    # Features are stored a line each, so a prefix must not break the line.
    return tuple((name, " ".join(name.split()) + ": ") for name in kept)


def table_of(examples: Sequence[Example]) -> Table:
    """Number the classes, the most frequent first, ties by their text."""
    texts = [canonical(example.output) for example in examples]
    counts = Counter(texts)
    order = sorted(counts, key=lambda text: (-counts[text], text))
    number = {text: index for index, text in enumerate(order)}
    inputs = tuple(example.input for example in examples)
    return Table(
        fields=fields_of(inputs),
        classes=tuple(json.loads(text) for text in order),
        labels=np.array([number[text] for text in texts], dtype=np.int64),
        inputs=inputs,
    )


def design_of(table: Table, of_text: Callable[[str], set[str]], *, min_rows: int) -> Design:
    """Read every input; keep the features that at least min_rows rows have."""
    number: dict[str, int] = {}
    rows = []
    for value in table.inputs:
        found = features_of(value, table.fields, of_text)
        # Numbers, not texts, are kept for each row: e-mails have millions of features in all.
        rows.append(
            np.fromiter((number.setdefault(name, len(number)) for name in found), dtype=np.int64)
        )
    flat = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
    counts = np.bincount(flat, minlength=len(number))
    kept = sorted(name for name, index in number.items() if counts[index] >= min_rows)
    # Numbers were given in the order of sets, which changes with the hash seed; names do not.
    column = np.full(len(number), -1, dtype=np.int64)
    column[[number[name] for name in kept]] = np.arange(len(kept))
    owner = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    columns = column[flat]
    present = columns >= 0
    matrix = sparse.csr_matrix(
        (np.ones(int(present.sum())), (owner[present], columns[present])),
        shape=(len(rows), len(kept)),
    )
    matrix.sort_indices()
    return Design(matrix=matrix, names=tuple(kept))
