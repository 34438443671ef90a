"""Compare what a program returned with what the oracle says is right.

Pure. Used by: the agent's validator, and the control plane wherever labels meet outputs.
Never: raises for any JSON values.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from edged.contract.likeness import likeness

Method = Literal["exact", "fuzzy", "semantic"]
# So that 1.01 is within .01 of 1.0, as people read it.
_ROUNDING: Final = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """similarity: 0 to 1; an exact comparison knows nothing between."""

    match: bool
    similarity: float
    method: Method


class Comparer(Protocol):
    """One way to compare two JSON values."""

    def compare(self, output: Any, truth: Any) -> Comparison: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """Equal as JSON values: 1 is 1.0, but true is not 1.

    ignore: dotted paths of fields that do not count, on either side; a path goes through lists, so
    `items.score` is the score of every item. tolerance: absolute, for numbers.
    """

    ignore: frozenset[str] = frozenset()
    tolerance: float = 0.0

    def compare(self, output: Any, truth: Any) -> Comparison:
        pairs = _pairs(output, truth, self.ignore)
        is_match = all(_is_same_scalar(*pair, self.tolerance) for pair in pairs)
        return Comparison(match=is_match, similarity=float(is_match), method="exact")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzy:
    """As `Exact`, but texts need only be alike; case and white space do not count.

    The similarity of two values is that of their least similar texts, 0 where anything else
    differs. threshold: the similarity from which on an output is right, above 0, at most 1.
    """

    threshold: float = 0.9
    ignore: frozenset[str] = frozenset()
    tolerance: float = 0.0

    def compare(self, output: Any, truth: Any) -> Comparison:
        least = 1.0
        for ours, theirs in _pairs(output, truth, self.ignore):
            if not _is_same_scalar(ours, theirs, self.tolerance):
                are_texts = isinstance(ours, str) and isinstance(theirs, str)
                least = min(least, likeness(ours, theirs) if are_texts else 0.0)
            if not least:
                break
        return Comparison(match=least >= self.threshold, similarity=least, method="fuzzy")


def without(value: Any, ignore: frozenset[str]) -> Any:
    """Return a value without the fields that do not count, for a judge that reads it."""
    whole = [value]
    waiting: list[tuple[Any, Any, str]] = [(whole, 0, "")] if ignore else []
    while waiting:
        holder, place, path = waiting.pop()
        found = holder[place]
        if isinstance(found, dict):
            kept: Any = {name: found[name] for name in found if _below(path, name) not in ignore}
            waiting += [(kept, name, _below(path, name)) for name in kept]
        elif isinstance(found, list):
            kept = list(found)
            waiting += [(kept, index, path) for index in range(len(kept))]
        else:
            continue
        holder[place] = kept
    return whole[0]


def _pairs(output: Any, truth: Any, ignore: frozenset[str]) -> Iterator[tuple[Any, Any]]:
    """Yield the scalars in the same places; where the places differ, a pair that never agrees."""
    # Not recursive: a value may be nested deeper than Python calls may be.
    waiting: list[tuple[Any, Any, str]] = [(output, truth, "")]
    while waiting:
        ours, theirs, path = waiting.pop()
        if isinstance(ours, dict) and isinstance(theirs, dict):
            names = _counted(ours, path, ignore)
            if names != _counted(theirs, path, ignore):
                yield ours, None
                return
            waiting += [(ours[name], theirs[name], _below(path, name)) for name in names]
        elif isinstance(ours, list) and isinstance(theirs, list):
            if len(ours) != len(theirs):
                yield ours, None
                return
            waiting += [(one, other, path) for one, other in zip(ours, theirs, strict=True)]
        else:
            yield ours, theirs


def _counted(value: Iterable[str], path: str, ignore: frozenset[str]) -> set[str]:
    return {name for name in value if _below(path, name) not in ignore}


def _is_same_scalar(ours: Any, theirs: Any, tolerance: float) -> bool:
    if _is_number(ours) and _is_number(theirs):
        return bool(ours == theirs or abs(ours - theirs) <= tolerance * _ROUNDING)
    return type(ours) is type(theirs) and bool(ours == theirs)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
