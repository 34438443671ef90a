"""Compare what a program returned with what the oracle says is right.

Pure. Used by: the agent's validator, and the control plane wherever labels meet outputs.
Never: raises for any JSON values.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

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
        is_match = self._is_equal(output, truth)
        return Comparison(match=is_match, similarity=float(is_match), method="exact")

    def _is_equal(self, output: Any, truth: Any) -> bool:
        # Not recursive: a value may be nested deeper than Python calls may be.
        waiting: list[tuple[Any, Any, str]] = [(output, truth, "")]
        while waiting:
            ours, theirs, path = waiting.pop()
            if isinstance(ours, dict) and isinstance(theirs, dict):
                names = self._counted(ours, path)
                if names != self._counted(theirs, path):
                    return False
                waiting += [(ours[name], theirs[name], _below(path, name)) for name in names]
            elif isinstance(ours, list) and isinstance(theirs, list):
                if len(ours) != len(theirs):
                    return False
                waiting += [(one, other, path) for one, other in zip(ours, theirs, strict=True)]
            elif not self._is_same_scalar(ours, theirs):
                return False
        return True

    def _counted(self, value: Iterable[str], path: str) -> set[str]:
        return {name for name in value if _below(path, name) not in self.ignore}

    def _is_same_scalar(self, ours: Any, theirs: Any) -> bool:
        if _is_number(ours) and _is_number(theirs):
            return bool(ours == theirs or abs(ours - theirs) <= self.tolerance * _ROUNDING)
        return type(ours) is type(theirs) and bool(ours == theirs)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
