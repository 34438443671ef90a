"""Find a subject in a record: what `edged privacy erase --match` means.

Pure. Never: logs what it looks for.

`ann@example.com` is in a record when a string or a key of its input, output or truth holds it, its
routing key or its error's message, whatever the case, or when a number reads so.
`$.customer.id=4711` is in it when that field, found by a path as in `privacy.fields`, is so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edged.contract.fields import Action, Rule, Trail

PARTS = {"input": "input", "output": "output", "oracle_output": "output", "truth": "output"}
MIN_CHARS = 3  # "a" would erase everything
_ROOTS = ("$", "input.", "output.", "input[", "output[")


@dataclass(frozen=True, slots=True)
class Match:
    """text: in lower case. rule: the path that leads to it; None: anywhere."""

    text: str
    rule: Rule | None = None

    @classmethod
    def parse(cls, written: str) -> "Match":
        """Raises ValueError that says what is wrong with it."""
        path, equals, value = written.partition("=")
        if path.startswith(_ROOTS) and (equals or _is_path(path)):  # "$100" is a text
            rule = Rule.parse(path, Action.DROP)
            if not value.strip():
                raise ValueError(f"{written!r}: a path needs a value, as in '{path}=VALUE'")
            return cls(value.lower(), rule)
        if len(written.strip()) < MIN_CHARS:
            raise ValueError(f"{written!r}: at least {MIN_CHARS} characters")
        return cls(written.lower())

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """Say whether a log line, parsed, speaks of the subject."""
        if self.rule is None and any(self.text in _text(each) for each in _beside(record)):
            return True
        return any(
            self._is_in(record[name], root) for name, root in PARTS.items() if name in record
        )

    def _is_in(self, value: Any, root: str) -> bool:
        if self.rule is None:
            return any(self.text in text for text in _texts(value))
        trail = Trail.begin([self.rule], root)
        return any(self.text == _text(found) for found in _led_to(value, trail))


def _is_path(written: str) -> bool:
    try:
        Rule.parse(written, Action.DROP)
    except ValueError:
        return False
    return True


def _beside(record: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what callers and programs say beside input and output; no path leads there."""
    yield record.get("routing_key", "")
    error = record.get("error")
    if isinstance(error, dict):
        yield error.get("message", "")


def _texts(value: Any) -> Iterator[str]:
    """Yield every string, key and number, at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list):
            waiting += each
        else:
            yield _text(each)


def _led_to(value: Any, trail: Trail) -> Iterator[Any]:
    waiting = [(value, trail)]
    while waiting:
        each, at = waiting.pop()
        if at.action is not None:
            yield each
        if at.rules and isinstance(each, dict):
            waiting += [(inner, at.to(key)) for key, inner in each.items()]
        elif at.rules and isinstance(each, list):
            waiting += [(inner, at.to(index)) for index, inner in enumerate(each)]


def _text(value: Any) -> str:
    return str(value).lower()
