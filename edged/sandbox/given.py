"""The builtins of programs, the classes they may inherit from, and those that type() may name.

Runs in: zygote, workers. Talks to: guards.py, facades. Never: offers a builtin that reaches files,
code or frames.
"""

import abc
import builtins
import collections
import collections.abc
import datetime as dt
import decimal
import fractions
import re
from types import NoneType

from edged.sandbox.facades import Imports, classes
from edged.sandbox.facades.structures import ABSTRACT
from edged.sandbox.guards import Guards, build_class

_PLAIN = (
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod"
    " enumerate filter float"
    " format frozenset hex int isinstance issubclass iter len list map max min next object oct ord"
    " pow property range"
    " repr reversed round set slice sorted staticmethod str sum super tuple zip"
    " Ellipsis NotImplemented"
)
_WITHHELD_ERRORS = frozenset({"ExceptionGroup"})  # except* is refused: CVE-2025-22153

ERRORS = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception) and name not in _WITHHELD_ERRORS
}

_PLAIN_TYPES: frozenset[type] = frozenset(
    {
        bool,
        bytearray,
        bytes,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        object,
        range,
        set,
        slice,
        str,
        tuple,
        NoneType,
    }
)
_CONTAINERS: frozenset[type] = frozenset(
    {collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque}
)

BASES: frozenset[type] = frozenset(
    {
        *(_PLAIN_TYPES - {bool, bytearray, complex, NoneType, range, slice}),
        *_CONTAINERS,
        *ERRORS.values(),
        *(getattr(collections.abc, name) for name in ABSTRACT.split() if name != "Generator"),
        *(abc.ABC, classes.GenericBase),
        *(classes.ProgramEnum, classes.ProgramIntEnum, classes.ProgramStrEnum),
    }
)

VISIBLE_TYPES: frozenset[type] = (
    _PLAIN_TYPES
    | _CONTAINERS
    | {dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone}
    | {decimal.Decimal, fractions.Fraction, re.Pattern, re.Match}
)


def print_nothing(
    *values: object, sep: object = None, end: object = None, **_options: object
) -> None:
    """Take what print takes: a worker's output is not the program's to write to."""


def build_builtins(guards: Guards, imports: Imports) -> dict[str, object]:
    """Return the `__builtins__` of one program, hooks included."""
    plain = {name: getattr(builtins, name) for name in _PLAIN.split()}
    machinery = {"__build_class__": build_class, "__import__": imports.find}
    return (
        plain | ERRORS | {"print": print_nothing} | machinery | guards.builtins() | guards.hooks()
    )


GIVEN_NAMES = (
    frozenset(_PLAIN.split())
    | frozenset(ERRORS)
    | {"print", "getattr", "hasattr", "setattr", "type"}
)
"""The builtins that a program's source may name."""
