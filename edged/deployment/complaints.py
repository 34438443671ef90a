"""Say in one line what is wrong with settings: the key, the fault, what was meant perhaps. Pure.

Never: quotes a value; it may be a key.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_CHARACTERS: Final = 300
_WORDS: Final = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
}


def complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first fault of settings that should have been a `model`, and how many more."""
    first = error.errors(include_input=False)[0]
    steps = [str(step) for step in first["loc"]]
    if steps[:1] == ["validation"] and len(steps) > 2:
        del steps[2]  # the oracle's kind, which Pydantic names and nobody wrote
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    place = f"{'.'.join(steps)}: " if steps else ""
    return one_line(f"{place}{_fault(first)}{_hint(first, steps, model)}{more}")


def one_line(text: str) -> str:
    """Return what a terminal shows as one line, and not too long a one."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return line if len(line) <= MAX_CHARACTERS else line[:MAX_CHARACTERS] + "…"


def _fault(error: ErrorDetails) -> str:
    if error["type"] == "union_tag_invalid":
        return f"oracle must be one of {error['ctx']['expected_tags']}"
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
