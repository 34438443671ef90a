"""Erase personal data from a JSON value: strings, whole numbers and keys, at any depth.

Pure. Used by: the filter. Never: records what was erased, only where and of which kind.
"""

from collections.abc import Container
from dataclasses import dataclass
from itertools import count
from typing import Any

from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.spans import Kind, Span

MAX_DEPTH = 64
# Keys that say nothing alone: {"phone": {"value": 4155550100}} is read as "phone value".
_GENERIC_KEYS = frozenset({"home", "no", "num", "number", "raw", "text", "value", "work"})
_MIN_DIGITS = 7  # a telephone number; shorter numbers name nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One thing erased. path: `input.items[3].contact`, in keys as they are released."""

    path: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.path} {self.kind}"


Scrubbed = tuple[Any, tuple[Erasure, ...]]


def scrub(value: Any, *, root: str = "$") -> Scrubbed:
    """Return the value with `[EMAIL]` and the like in place of what was found.

    A whole number that is personal data becomes a string. Raises Withheld when nested too deeply.
    """
    scrubber = _Scrubber()
    clean = scrubber.walk(value, root, "", 0)
    return clean, tuple(scrubber.erased)


class _Scrubber:
    """One walk over one value."""

    def __init__(self) -> None:
        self.erased: list[Erasure] = []

    def walk(self, value: Any, path: str, context: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Withheld("too_deep")
        if isinstance(value, str):
            return self._text(value, path, context)
        if isinstance(value, dict):
            return self._object(value, path, context, depth)
        if isinstance(value, list):
            return [
                self.walk(item, f"{path}[{index}]", context, depth + 1)
                for index, item in enumerate(value)
            ]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._number(value, path, context)
        if value is None or isinstance(value, bool):
            return value
        raise TypeError(f"{type(value).__name__} is not JSON")

    def _object(self, members: dict[str, Any], path: str, context: str, depth: int) -> Any:
        clean: dict[str, Any] = {}
        for key, value in members.items():
            spans = _find(key)
            name = _unused(_replace(key, spans), clean)
            beside = f"{context} {key}" if key.lower() in _GENERIC_KEYS else key
            inner = f"{path}.{name}"
            self._note(spans, inner)
            clean[name] = self.walk(value, inner, beside, depth + 1)
        return clean

    def _text(self, text: str, path: str, context: str) -> str:
        spans = _find(text, context)
        self._note(spans, path)
        return _replace(text, spans)

    def _number(self, number: float, path: str, context: str) -> Any:
        # A fraction is a measurement; in strings of its 17 digits one in a hundred is a card.
        if abs(number) < 10 ** (_MIN_DIGITS - 1) or number != number // 1:
            return number
        text = str(int(number))
        spans = _find(text, context)
        self._note(spans, path)
        return _replace(text, spans) if spans else number

    def _note(self, spans: list[Span], path: str) -> None:
        self.erased += [Erasure(path=path, kind=span.kind) for span in spans]


def _replace(text: str, spans: list[Span]) -> str:
    parts, place = [], 0
    for span in spans:
        parts += [text[place : span.start], f"[{span.kind}]"]
        place = span.end
    return "".join([*parts, text[place:]])


def _unused(key: str, taken: Container[str]) -> str:
    """Keep members apart whose keys became the same."""
    return next(
        name
        for number in count(1)
        if (name := key if number == 1 else f"{key} {number}") not in taken
    )


def _find(text: str, *context: Any) -> list[Span]:
    # Loaded with the first text: tables for 80 ms that a restarted agent need not wait for.
    from edged.agent.privacy import detection

    return list(detection.find(text, *context))
