"""A customer's rules for single fields: paths in JSON, and what becomes of what stands there.

Pure. Used by: the privacy filter; read with deployment.yaml. Never: reads a value; it is led along
the way to one.

A path is a JSONPath of names, indexes and wildcards: `$.customer.name`, `$.items[*].note`,
`$..password`, `$["odd name"][0]`. `$` is the input as well as the output; `input.note` and
`output.note` are one of them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What becomes of a field."""

    DROP = "drop"
    HASH = "hash"
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class Step:
    """key: a member's name, an index, or None for any. is_deep: at any depth below."""

    key: str | int | None
    is_deep: bool = False

    def fits(self, key: str | int) -> bool:
        return self.key is None or self.key == key


@dataclass(frozen=True, slots=True)
class Rule:
    """root: `input`, `output` or `$` for both."""

    root: str
    steps: tuple[Step, ...]
    action: Action

    @classmethod
    def parse(cls, path: str, action: Action) -> "Rule":
        """Raises ValueError that says where the path is not understood."""
        root = _ROOT.match(path)
        if root is None:
            raise ValueError(f"{path!r}: must begin with $, input or output")
        place, steps = root.end(), list[Step]()
        while place < len(path):
            step = _STEP.match(path, place)
            if step is None:
                raise ValueError(f"{path!r}: not understood from {path[place:]!r} on")
            steps.append(_step(step))
            place = step.end()
        return cls(root.group(), tuple(steps), Action(action))


@dataclass(frozen=True, slots=True)
class Trail:
    """How far the rules have come on the way to one value: each rule with its next step."""

    rules: tuple[tuple[Rule, int], ...] = ()

    @classmethod
    def begin(cls, rules: Iterable[Rule], root: str) -> "Trail":
        return cls(tuple((rule, 0) for rule in rules if rule.root in ("$", root) or root == "$"))

    @property
    def action(self) -> Action | None:
        """Return what becomes of the value here; of several rules the first one's."""
        return next((rule.action for rule, at in self.rules if at == len(rule.steps)), None)

    def to(self, key: str | int) -> "Trail":
        """Return the trail to a member or an item of the value here."""
        if not self.rules:
            return self
        there: list[tuple[Rule, int]] = []
        for rule, at in self.rules:
            if at == len(rule.steps):
                continue
            step = rule.steps[at]
            if step.fits(key):
                there.append((rule, at + 1))
            if step.is_deep:
                there.append((rule, at))
        return Trail(tuple(there))


_ROOT = re.compile(r"\$|input\b|output\b")
_NAME = r"[^\W\d][\w\-]*"
_STEP = re.compile(
    rf"(?P<deep>\.\.)(?:(?P<deep_name>{_NAME}|\*)|\[(?P<deep_in>[^\[\]\"']+|\"[^\"]*\"|'[^']*')\])"
    rf"|\.(?P<name>{_NAME}|\*)|\[(?P<in>[^\[\]\"']+|\"[^\"]*\"|'[^']*')\]"
)


def _step(match: re.Match[str]) -> Step:
    named = match["name"] or match["deep_name"]
    inside = match["in"] or match["deep_in"]
    is_deep = match["deep"] is not None
    if "*" in (named, inside):
        return Step(None, is_deep)
    if named:
        return Step(named, is_deep)
    if inside.isdigit():
        return Step(int(inside), is_deep)
    if inside[0] in "\"'":
        return Step(inside[1:-1], is_deep)
    raise ValueError(f"[{inside}] must be a number, * or a name in quotes")


_PLAIN_NAME = re.compile(_NAME)


def path_to(path: str, key: str | int) -> str:
    """Return the path of a member or an item below `path`, as a rule may name it."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_NAME.fullmatch(key):
        return f"{path}.{key}"
    quote = "'" if '"' in key else '"'
    return f"{path}[{quote}{key}{quote}]"
