"""The dataclasses module as programs see it.

The library pastes the names of a class's fields into source text and reads attributes by them, so
no program gets at the fields that a class goes by: `fields` gives copies.

Runs in: workers. Talks to: the standard library, guards.py. Never: changes a class that is not the
program's own.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any

from edged.sandbox.facades.offer import pick
from edged.sandbox.guards import Guards


def offered(guards: Guards) -> dict[str, object]:
    """Return the members of the dataclasses module."""
    return pick(dataclasses, "FrozenInstanceError asdict astuple is_dataclass replace") | {
        "dataclass": _decorator(guards),
        "field": make_field,
        "fields": fields_of,
    }


def _decorator(guards: Guards) -> Callable[..., object]:
    def dataclass(cls: type | None = None, /, **options: bool) -> object:
        if cls is None:
            return lambda decorated: dataclass(decorated, **options)
        guards.check_changeable(cls)
        if issubclass(cls, enum.Enum):
            raise TypeError("an Enum cannot be a dataclass")
        _check_names(getattr(cls, "__dataclass_fields__", {}))
        return dataclasses.dataclass(cls, **options)

    return dataclass


def _check_names(fields: Mapping[str, dataclasses.Field[object]]) -> None:
    if any(field.name != name for name, field in fields.items()):
        raise TypeError("a field of this class was renamed")


def make_field(*, metadata: Mapping[object, object] | None = None, **options: Any) -> object:
    """Do what dataclasses.field does, but for the empty metadata that all fields have in common."""
    return dataclasses.field(metadata={} if metadata is None else metadata, **options)


def fields_of(owner: Any) -> tuple[object, ...]:
    return tuple(map(_copy, dataclasses.fields(owner)))


def _copy(field: dataclasses.Field[Any]) -> object:
    copied: Any = make_field(
        default=field.default,
        default_factory=field.default_factory,
        init=field.init,
        repr=field.repr,
        hash=field.hash,
        compare=field.compare,
        metadata=dict(field.metadata),
        kw_only=field.kw_only,
    )
    copied.name, copied.type = field.name, field.type
    return copied
