"""Erase personal data from a JSON value: strings, whole numbers and keys, at any depth.

Pure. Used by: the filter. Never: records what was erased, only where and of which kind.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.spans import Span
from edged.contract.fields import Action, Rule, Trail, path_to

if TYPE_CHECKING:
    from edged.agent.privacy.detection import Pattern

MAX_DEPTH = 64
# Keys that say nothing alone: {"phone": {"value": 4155550100}} is read as "phone value".
_GENERIC_KEYS = frozenset({"home", "no", "num", "number", "raw", "text", "value", "work"})
_MIN_DIGITS = 7  # a telephone number; shorter numbers name nobody
_MAX_KEY_CHARS = 64  # of those whose spans are remembered
MASK = "***"
_GONE = object()  # stands for a dropped field while its members are put together


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One thing erased. path: `input.items[3].contact`, in keys as they are released.

    kind: of a detector or a customer's pattern; or DROP, HASH, MASK: what a field's rule did.
    """

    path: str
    kind: str

    def __str__(self) -> str:
        return f"{self.path} {self.kind}"


Scrubbed = tuple[Any, tuple[Erasure, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbing:
    """What to erase. hashed: makes the text that takes a hashed field's place."""

    detect: bool = True
    patterns: Sequence["Pattern"] = ()
    rules: Sequence[Rule] = ()
    hashed: Callable[[Any], str] = lambda _: MASK


DETECTION = Scrubbing()


def scrub(value: Any, *, root: str = "$", how: Scrubbing = DETECTION) -> Scrubbed:
    """Return the value with `[EMAIL]` and the like in place of what was found.

    A whole number that is personal data becomes a string; a value that is dropped whole becomes
    null. Raises Withheld when nested too deeply.
    """
    scrubber = _Scrubber(how)
    clean = scrubber.walk(value, root, "", Trail.begin(how.rules, root), 0)
    return (None if clean is _GONE else clean), tuple(scrubber.erased)


class _Scrubber:
    """One walk over one value."""

    def __init__(self, how: Scrubbing) -> None:
        self._how = how
        self.erased: list[Erasure] = []

    def walk(self, value: Any, path: str, context: str, trail: Trail, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Withheld("too_deep")
        if (action := trail.action) is not None:
            self.erased.append(Erasure(path=path, kind=action.name))
            return self._ruled(value, action)
        if isinstance(value, dict):
            return self._object(value, path, context, trail, depth)
        if isinstance(value, list):
            return self._list(value, path, context, trail, depth)
        return self._plain(value, path, context)

    def _ruled(self, value: Any, action: Action) -> Any:
        if action is Action.DROP:
            return _GONE
        return self._how.hashed(value) if action is Action.HASH else MASK

    def _plain(self, value: Any, path: str, context: str) -> Any:
        if isinstance(value, str):
            return self._text(value, path, context)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return self._number(value, path, context)
        raise TypeError(f"{type(value).__name__} is not JSON")

    def _object(
        self, members: dict[str, Any], path: str, context: str, trail: Trail, depth: int
    ) -> Any:
        clean: dict[str, Any] = {}
        for key, value in members.items():
            spans = self._find_in_key(key)
            name = _unused(_replace(key, spans), clean)
            beside = f"{context} {key}" if key.lower() in _GENERIC_KEYS else key
            inner = path_to(path, name)
            self._note(spans, inner)
            kept = self.walk(value, inner, beside, trail.to(key), depth + 1)
            if kept is not _GONE:
                clean[name] = kept
        return clean

    def _list(self, items: list[Any], path: str, context: str, trail: Trail, depth: int) -> Any:
        walked = [
            self.walk(item, path_to(path, index), context, trail.to(index), depth + 1)
            for index, item in enumerate(items)
        ]
        return [item for item in walked if item is not _GONE]

    def _text(self, text: str, path: str, context: str) -> str:
        spans = self._find(text, context)
        self._note(spans, path)
        return _replace(text, spans)

    def _number(self, number: float, path: str, context: str) -> Any:
        # A fraction is a measurement; in strings of its 17 digits one in a hundred is a card.
        if abs(number) < 10 ** (_MIN_DIGITS - 1) or number != number // 1:
            return number
        text = str(int(number))
        spans = self._find(text, context)
        self._note(spans, path)
        return _replace(text, spans) if spans else number

    def _note(self, spans: list[Span], path: str) -> None:
        self.erased += [Erasure(path=path, kind=span.kind) for span in spans]

    def _find_in_key(self, key: str) -> list[Span]:
        """Keys come again and again."""
        if len(key) > _MAX_KEY_CHARS or not self._how.detect:
            return self._find(key)
        return _spans_of_key(key, tuple(self._how.patterns))

    def _find(self, text: str, context: str = "") -> list[Span]:
        if not self._how.detect:
            return []
        # Loaded with the first text: tables for 80 ms that a restarted agent need not wait for.
        from edged.agent.privacy import detection

        return detection.find(text, context, self._how.patterns)


@lru_cache(1_024)
def _spans_of_key(key: str, patterns: tuple["Pattern", ...]) -> list[Span]:
    from edged.agent.privacy import detection

    return detection.find(key, patterns=patterns)


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
