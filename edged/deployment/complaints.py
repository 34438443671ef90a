"""Say in one line what is wrong with settings: the key, the fault, what was meant perhaps. Pure.

Never: quotes a value; it may be a key.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import takewhile
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_CHARACTERS: Final = 300
_UNTOLD: Final = {"union_tag_invalid", "union_tag_not_found"}
_TRIED: Final = ("literal[", "tuple[", "[key]")  # alternatives of a value, and a key itself
_WORDS: Final = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
}


def complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first fault of settings that should have been a `model`, and how many more."""
    faults = error.errors(include_input=False)
    first, steps = faults[0], _steps(faults[0])
    others = len({tuple(_steps(fault)) for fault in faults}) - 1
    more = f" (and {others} more)" if others else ""
    place = f"{'.'.join(steps)}: " if steps else ""
    return one_line(f"{place}{_fault(first)}{_hint(first, steps, model)}{more}")


def one_line(text: str) -> str:
    """Return what a terminal shows as one line, and not too long a one."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return line if len(line) <= MAX_CHARACTERS else line[:MAX_CHARACTERS] + "…"


def _steps(error: ErrorDetails) -> list[str]:
    """Return the keys that lead to it, without what Pydantic names and nobody wrote."""
    steps = [str(step) for step in error["loc"]]
    if steps[:1] == ["validation"]:
        del steps[2:3]  # the oracle's kind
    if steps[2:4] == ["comparison", "judge"]:
        del steps[4:5]  # the judge's
    return list(takewhile(lambda step: not step.startswith(_TRIED), steps))


def _fault(error: ErrorDetails) -> str:
    if error["type"] in _UNTOLD:
        key = error["ctx"]["discriminator"].strip("'")
        known = error["ctx"].get("expected_tags")
        return f"{key} must be one of {known}" if known else f"{key} is missing"
    return _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")


def _hint(error: ErrorDetails, steps: list[str], model: type[BaseModel]) -> str:
    if error["type"] != "extra_forbidden":
        return ""
    near = get_close_matches(steps[-1], _keys_at(model, steps[:-1]), n=1)
    return f"; is {near[0]} meant?" if near else ""


def _keys_at(model: type[BaseModel], steps: list[str]) -> Mapping[str, object]:
    """Return the keys of the section that the steps lead to; none where they lead elsewhere."""
    fields = model.model_fields
    for step in steps:
        kind = fields[step].annotation if step in fields else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return {}
        fields = kind.model_fields
    return fields
