"""Put a customer's values into a prompt as data: in one form, of bounded size, unable to end it.

Runs in: jobs. Talks to: nothing. Never: puts a text of the customer's into a prompt any other way.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.generator.protocol import Example
from controlplane.generator.table import canonical

MAX_TEXT = 600  # characters of one text; e-mails tell what they are before that
MAX_CHARACTERS = 20_000  # of one block: about 6,000 tokens
MAX_LIST = 20  # entries of one list


def block(name: str, rows: Iterable[Any]) -> str:
    """Return the rows, one JSON text a line, between tags that no row can close.

    A row that no longer fits is left out; shorten rows that are only examples.
    """
    lines: list[str] = []
    room = MAX_CHARACTERS
    for row in rows:
        line = _safe(row)
        if len(line) > room:
            continue
        room -= len(line)
        lines.append(line)
    return "\n".join([f"<{name}>", *lines, f"</{name}>"])


def shortened(value: Any) -> Any:
    """Return the value with long texts and lists cut; "…" marks the cut."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    if isinstance(value, list):
        return [shortened(each) for each in value[:MAX_LIST]] + ["…"] * (len(value) > MAX_LIST)
    if isinstance(value, dict):
        return {name: shortened(each) for name, each in value.items()}
    return value


def chosen(examples: Sequence[Example], count: int) -> list[Example]:
    """Return at most count examples, every output in turn; the same for the same examples."""
    in_turn: dict[str, list[Example]] = defaultdict(list)
    for row in sorted(examples, key=_shuffled):
        in_turn[canonical(row.output)].append(row)
    longest = max(map(len, in_turn.values()), default=0)
    dealt = [rows[turn] for turn in range(longest) for rows in in_turn.values() if turn < len(rows)]
    return dealt[:count]


def _shuffled(row: Example) -> bytes:
    return hashlib.sha256(canonical(row.input).encode()).digest()


def _safe(value: Any) -> str:
    """Return JSON without angle brackets: it reads the same and can open or close no tag."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")
