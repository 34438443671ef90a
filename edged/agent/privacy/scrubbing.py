"""Erase personal data from a JSON value: strings, numbers and keys, at any depth.

Pure. Used by: the filter. Never: records what was erased, only where and of which kind.
"""

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.names import is_secret_name
from edged.agent.privacy.spans import Span
from edged.contract.fields import Action, Rule, Trail, path_to

if TYPE_CHECKING:
    from edged.agent.privacy.detection import Pattern

MAX_DEPTH = 64
# Keys that say nothing alone: {"phone": {"value": 4155550100}} is read as "phone value".
_GENERIC_KEYS = frozenset({"home", "no", "num", "number", "raw", "text", "value", "work"})
_MIN_DIGITS = 7  # a telephone number; shorter numbers name nobody
_MAX_KEY_CHARS = 64  # of a key whose spans are remembered, and of the name beside a value
_MAX_PATH_CHARS = 160  # with its kind no more than the 200 that home keeps of an entry
MAX_TOLD = 100  # entries of a record; home keeps no more
_REST = re.compile(r"and (\d+) more")
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

    A number that is personal data becomes a string; a value that is dropped whole becomes
    null. Raises Withheld when nested too deeply.
    """
    scrubber = _Scrubber(how)
    clean = scrubber.walk(value, root, "", Trail.begin(how.rules, root), 0)
    return (None if clean is _GONE else clean), tuple(scrubber.erased)


def told(erased: Iterable[Erasure], before: Iterable[str] = ()) -> list[str]:
    """Return what a record says of its erasures: no more than home keeps, the last counts the rest.

    before: what it said already.
    """
    named: list[str] = []
    rest = 0
    for entry in (*before, *map(str, erased)):
        counted = _REST.fullmatch(entry)
        if counted is None and len(named) < MAX_TOLD - 1:
            named.append(entry)
        else:
            rest += int(counted[1]) if counted else 1
    return [*named, f"and {rest} more"] if rest else named


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
        unused = _UnusedNames(clean)
        for key, value in members.items():
            spans = self._find_in_key(key)
            name = unused.of(_replace(key, spans))
            inner = _shortened(path_to(path, name))
            self._note(spans, inner)
            kept = self.walk(value, inner, _beside(key, context), trail.to(key), depth + 1)
            if kept is not _GONE:
                clean[name] = kept
        return clean

    def _list(self, items: list[Any], path: str, context: str, trail: Trail, depth: int) -> Any:
        walked = [
            self.walk(item, _shortened(path_to(path, index)), context, trail.to(index), depth + 1)
            for index, item in enumerate(items)
        ]
        return [item for item in walked if item is not _GONE]

    def _text(self, text: str, path: str, context: str) -> str:
        spans = self._find(text, context)
        self._note(spans, path)
        return _replace(text, spans)

    def _number(self, number: float, path: str, context: str) -> Any:
        is_whole = number == number // 1
        # A fraction is a measurement; in strings of its 17 digits one in a hundred is a card.
        is_telling = is_whole and abs(number) >= 10 ** (_MIN_DIGITS - 1)
        detect = self._how.detect and (is_telling or is_secret_name(context))
        if not (detect or self._how.patterns):
            return number
        text = str(int(number)) if is_whole else repr(number)
        spans = self._find(text, context, detect=detect)
        self._note(spans, path)
        return _replace(text, spans) if spans else number

    def _note(self, spans: list[Span], path: str) -> None:
        self.erased += [Erasure(path=path, kind=span.kind) for span in spans]

    def _find_in_key(self, key: str) -> list[Span]:
        """Keys come again and again."""
        if len(key) > _MAX_KEY_CHARS or not self._how.detect:
            return self._find(key)
        return _spans_of_key(key, tuple(self._how.patterns))

    def _find(self, text: str, context: str = "", *, detect: bool = True) -> list[Span]:
        """Without detection only the customer's patterns are looked for."""
        detect = detect and self._how.detect
        if not (detect or self._how.patterns):
            return []
        # Loaded with the first text: tables for 80 ms that a restarted agent need not wait for.
        from edged.agent.privacy import detection

        return detection.find(text, context, self._how.patterns, detect=detect)


@lru_cache(1_024)
def _spans_of_key(key: str, patterns: tuple["Pattern", ...]) -> list[Span]:
    from edged.agent.privacy import detection

    return detection.find(key, patterns=patterns)


def _beside(key: str, context: str) -> str:
    """Return the name by which a value is read: its key, with the names above one that says little.

    Only its end: a long one would be read again for each of many values.
    """
    if key.lower() not in _GENERIC_KEYS:
        return key[-_MAX_KEY_CHARS:]
    return context if is_secret_name(context) else f"{context} {key}"[-_MAX_KEY_CHARS:]


def _replace(text: str, spans: list[Span]) -> str:
    parts, place = [], 0
    for span in spans:
        parts += [text[place : span.start], f"[{span.kind}]"]
        place = span.end
    return "".join([*parts, text[place:]])


def _shortened(path: str) -> str:
    """Bound what many values below a long key would repeat."""
    return path if len(path) <= _MAX_PATH_CHARS else path[: _MAX_PATH_CHARS - 1] + "…"


class _UnusedNames:
    """Keep members apart whose keys became the same."""

    def __init__(self, taken: Container[str]) -> None:
        self._taken = taken
        self._numbers: dict[str, int] = {}  # the last one that a key was given

    def of(self, key: str) -> str:
        while True:
            number = self._numbers.get(key, 0) + 1
            self._numbers[key] = number
            name = key if number == 1 else f"{key} {number}"
            if name not in self._taken:
                return name
