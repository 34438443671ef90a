"""Read examples and requests: one JSON object a line, or CSV with a header.

Runs in: demo, bench and chaos. Never: guesses silently; a row without a label is named.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """An input and, where the file tells it, the output expected for it."""

    input: Any
    output: Any


def read_rows(path: Path, label_field: str | None = None) -> list[Row]:
    """Read `{"input", "output"}` rows, or flat ones whose `label` (or `label_field`) is the output.

    Raises ValueError naming the line.
    """
    return [
        _row(document, path, number, label_field)
        for number, document in enumerate(_documents(path), start=1)
    ]


def _documents(path: Path) -> list[Any]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    lines = path.read_bytes().split(b"\n")  # str.splitlines would also split at U+2028 in a text
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _row(document: Any, path: Path, number: int, label_field: str | None) -> Row:
    if not isinstance(document, dict):
        raise ValueError(f"{path}, line {number}: not an object")  # noqa: TRY004
    if set(document) == {"input", "output"}:
        return Row(document["input"], document["output"])
    names = [label_field] if label_field else ["label", "output"]
    label = next((name for name in names if name in document), None)
    if label is None:
        raise ValueError(f"{path}, line {number}: no field {' or '.join(map(repr, names))}")
    return Row({k: v for k, v in document.items() if k != label}, document[label])
