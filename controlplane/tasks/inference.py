"""Infer JSON Schemas from examples, for a task that was given none.

Inputs: property types, required where present in all, further properties permitted. Outputs: an
enumeration when there are few distinct scalars, else like inputs. A schema must permit every
example it came from. Pure. Never: guesses a limit (length, range) from a sample.
"""

from collections.abc import Iterable, Sequence
from typing import Any

MAX_LABELS = 50
MAX_PROPERTIES = 200  # an object with more is a map, and its keys are content
TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
SCALARS = (str, int, float, bool, type(None))


def input_schema(values: Sequence[Any]) -> dict[str, Any]:
    """Return a schema that every value satisfies; {} for no values."""
    return _schema(values) if values else {}


def output_schema(values: Sequence[Any]) -> dict[str, Any]:
    """Return an enumeration of at most 50 labels, sorted, else a schema of types."""
    if not values:
        return {}
    labels = _labels(values)
    return {"enum": labels} if labels else _schema(values)


def _labels(values: Sequence[Any]) -> list[Any]:
    """Return the distinct scalars, or nothing where there are too many or other values."""
    distinct: dict[tuple[str, Any], Any] = {}
    for value in values:
        if not isinstance(value, SCALARS):
            return []
        distinct[type(value).__name__, value] = value
        if len(distinct) > MAX_LABELS:
            return []
    return [distinct[key] for key in sorted(distinct, key=lambda key: (key[0], str(key[1])))]


def _schema(values: Sequence[Any]) -> dict[str, Any]:
    types = sorted({_type(value) for value in values})
    if "integer" in types and "number" in types:
        types.remove("integer")
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        schema |= _properties(objects)
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        schema["items"] = _schema(items)
    return schema


def _properties(objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = _ordered(name for value in objects for name in value)
    if len(names) > MAX_PROPERTIES:
        return {}
    required = [name for name in names if all(name in value for value in objects)]
    properties = {
        name: _schema([value[name] for value in objects if name in value]) for name in names
    }
    found: dict[str, Any] = {"properties": properties}
    return found | {"required": required} if required else found


def _ordered(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _type(value: Any) -> str:
    return TYPES[type(value)]
