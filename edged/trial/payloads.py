"""Payload programs as a file holds them, one JSON object a line.

    {"name": "import_os", "category": "direct", "code": "import os …", "expect": "blocked"}

`expect` is one or more of ok, blocked, timeout, memory, joined by `|`. A program that must be
blocked returns a text starting with PWNED if it got through. `category` and `input` may be left
out.

Runs in: `edged sandbox try`. Never: runs a payload.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edged.errors import PlatformError

EXPECTATIONS: Final = frozenset({"ok", "blocked", "timeout", "memory"})
INPUT: Final = {"text": "free hello world of text", "items": [3, 1, 2], "n": 4}
_KEYS: Final = {"name": str, "code": str, "expect": str}


class PayloadsMalformed(PlatformError):
    code = "payloads_malformed"
    text = "{place}: {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    name: str
    category: str
    code: str
    expect: frozenset[str]
    input_json: bytes


def read_payloads(path: Path) -> list[Payload]:
    """Return the programs of a file; raises PayloadsMalformed with the line at fault."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise PayloadsMalformed(place=path, reason=error.strerror) from error
    return list(_payloads(path, lines))


def _payloads(path: Path, lines: list[bytes]) -> Iterator[Payload]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _payload(json.loads(line))
            except ValueError as error:
                raise PayloadsMalformed(place=f"{path}, line {number}", reason=error) from error


def _payload(row: Any) -> Payload:
    """Raise ValueError with what is wrong."""
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 # a file's fault, not a caller's
    for key, kind in _KEYS.items():
        if not isinstance(row.get(key), kind):
            raise ValueError(f"{key!r} must be a string")  # noqa: TRY004 # the same
    expect = frozenset(row["expect"].split("|"))
    if not expect <= EXPECTATIONS:
        known = ", ".join(sorted(EXPECTATIONS))
        raise ValueError(f"'expect' is {row['expect']!r}; it takes {known}, joined by |")
    return Payload(
        name=row["name"],
        category=str(row.get("category", "")),
        code=row["code"],
        expect=expect,
        input_json=json.dumps(row.get("input", INPUT)).encode(),
    )
