"""Accept what no call can change, with everything that it reaches.

Constants, functions over such, classes without mutable parts. What is not known to be one of them
is refused, so that a new kind of value costs speed and never keeps something between two calls.

Runs in: workers. Talks to: guards.py, facades. Never: changes what it looks at, or takes a mutable
container (sharing.py may).
"""

import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import re
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass
from types import (
    BuiltinFunctionType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    NoneType,
    UnionType,
    WrapperDescriptorType,
)
from typing import cast

from edged.sandbox.facades import Facade
from edged.sandbox.facades.contexts import context_manager
from edged.sandbox.facades.structures import CachedProperty
from edged.sandbox.guards import BaseDoor, exit_without_traceback, is_own_class
from edged.sandbox.methods import is_own_function, new_of_its_class
from edged.sandbox.names import METHODS

_NAMED_FIELD = type(collections.namedtuple("_Any", "field").field)  # type: ignore[attr-defined]  # noqa: PYI024

_ATOMS = frozenset(
    {
        _NAMED_FIELD,
        *(
            NoneType,
            bool,
            int,
            float,
            complex,
            str,
            bytes,
            range,
            type(Ellipsis),
            type(NotImplemented),
            object,
        ),
        *(re.Pattern, re.RegexFlag, string.Template, decimal.Decimal, Facade),
        *(dt.date, dt.timedelta),
        *(MethodDescriptorType, WrapperDescriptorType, MemberDescriptorType, GetSetDescriptorType),
    }
)
_LRU_CACHE = type(functools.lru_cache(lambda: None))
_WRAPPER_CODES = frozenset(
    wrap(lambda: None).__code__
    for wrap in (context_manager, exit_without_traceback, new_of_its_class)
)
"""Of what stands around functions of a program, and holds nothing else."""
_REPR_CODE = dataclass(type("_Any", (), {})).__repr__.__code__  # around each one, the same
_MEMBER_TYPES = frozenset({object, str, bytes, int, float})


class NotShareable(Exception):
    """Something that a call could change; it says what."""


class Immutables:
    """What was accepted. given: the ids of what the program got from us."""

    def __init__(
        self, given: frozenset[int], *, has_nonlocal: bool, has_class_statement: bool
    ) -> None:
        """Both: whether a function of the program has such a statement."""
        self._given = given
        self._has_nonlocal = has_nonlocal
        self._has_class_statement = has_class_statement
        self._seen: set[int] = set()  # ids of what was accepted, wherever it turns up again
        self.classes: set[type] = set()
        self.caches: list[Callable[[], None]] = []
        """What must be cleared before each call."""

    def take_all(self, values: Iterable[object]) -> None:
        for value in values:
            if type(value) is not str:
                self.take(value)

    def take(self, value: object) -> None:
        """Accept one immutable value with all that it reaches."""
        kind = type(value)
        if (
            kind in _ATOMS
            or id(value) in self._given
            or id(value) in self._seen
            or isinstance(value, BaseDoor)
        ):
            return
        if kind in (tuple, frozenset):
            self.take_all(cast("tuple[object, ...]", value))
            return
        self._seen.add(id(value))
        self._take_composite(value)

    def _take_composite(self, value: object) -> None:
        if isinstance(value, FunctionType):
            self._take_function(value)
        elif isinstance(value, _LRU_CACHE):
            self.take(value.__wrapped__)
            # Not the attribute: it may be that of a class which was given to be cached.
            self.caches.append(functools.partial(_LRU_CACHE.cache_clear, value))
        elif isinstance(value, type):
            self._take_class(value)
        elif isinstance(value, enum.Enum):
            self.take(type(value))
        elif isinstance(value, GenericAlias):
            self.take_all((value.__origin__, *value.__args__))
        elif isinstance(value, UnionType):
            self.take_all(value.__args__)
        else:
            self._take_object(value)

    def _take_object(self, value: object) -> None:
        if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, type):
            self.take(value.__self__)
        elif isinstance(value, fractions.Fraction):
            self.take_all((value.numerator, value.denominator))
        elif isinstance(value, dt.timezone):
            self.take(value.tzname(None))
        elif isinstance(value, dt.datetime | dt.time):
            self.take(value.tzinfo)
        elif not (
            isinstance(value, BuiltinFunctionType)
            and isinstance(value.__self__, ModuleType | NoneType)
        ):
            raise NotShareable(f"an object of type {type(value).__name__}")

    def _take_function(self, function: FunctionType) -> None:
        if not _is_of_program(function) or vars(function).keys() - {"__isabstractmethod__"}:
            raise NotShareable(f"the function {function.__name__}")
        if function.__closure__ and self._has_nonlocal:
            raise NotShareable(f"the closure of {function.__name__} may be rebound")
        self.take_all(function.__defaults__ or ())
        self.take_all((function.__kwdefaults__ or {}).values())
        self._take_cells(function)

    def _take_cells(self, function: FunctionType) -> None:
        for cell in function.__closure__ or ():
            self.take(_content(cell))

    # Classes.

    def _take_class(self, cls: type) -> None:
        if issubclass(cls, tuple) and hasattr(cls, "_field_defaults"):
            self.take_all(cls._field_defaults.values())
            if not is_own_class(cls):
                return
        if not is_own_class(cls):
            raise NotShareable(f"the class {cls.__name__}")
        self.classes.add(cls)
        for base in cls.__bases__:
            if is_own_class(base):
                self.take(base)
        for name, value in vars(cls).items():
            self._take_class_attribute(name, value)
        if issubclass(cls, enum.Enum):
            self._take_enum(cls)

    def _take_class_attribute(self, name: str, value: object) -> None:
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        if name == "__dataclass_fields__":
            self._take_fields(value)  # type: ignore[arg-type]
        elif name.startswith("_") and name not in METHODS and not _is_of_program(value):
            return  # set by Python itself, and no program can spell it: private names are folded
        elif isinstance(value, property | CachedProperty):
            self._take_property(value)
        elif name in METHODS and isinstance(value, FunctionType) and not _is_of_program(value):
            self._take_library_method(value)
        elif type(value) is not enum.property:
            self.take(value)

    def _take_property(self, value: property | CachedProperty) -> None:
        if self._has_class_statement:
            raise NotShareable("another class could give a property another name")
        if isinstance(value, CachedProperty):
            self.take(value.func)
        else:
            parts = (value.fget, value.fset, value.fdel)
            self.take_all(part for part in parts if part is not None)

    def _take_library_method(self, function: FunctionType) -> None:
        """One made from text (dataclass) holds the fields alone, others what they closed over."""
        if function.__code__.co_filename != "<string>" and function.__code__ is not _REPR_CODE:
            self._take_cells(function)

    def _take_fields(self, fields: Mapping[str, Field[object]]) -> None:
        for field in fields.values():
            if field.metadata:
                raise NotShareable("a field with metadata")
            self.take_all(
                part for part in (field.default, field.default_factory) if part is not MISSING
            )

    def _take_enum(self, cls: type[enum.Enum]) -> None:
        """Members outlive the call: none may hold, or be given, what store() does not see."""
        kind = cls._member_type_  # type: ignore[attr-defined]
        if kind not in _MEMBER_TYPES or any(map(_has_cached_property, cls.__mro__)):
            raise NotShareable("an enum whose members can be changed")
        for member in cls.__members__.values():
            self._seen.add(id(member))
            attributes = vars(member).items()
            self.take_all(value for name, value in attributes if name != "__objclass__")


def _has_cached_property(cls: type) -> bool:
    return any(isinstance(value, CachedProperty) for value in vars(cls).values())


def _is_of_program(value: object) -> bool:
    """Whether this is a function of the program, or one of ours around it."""
    return is_own_function(value) or (
        isinstance(value, FunctionType) and value.__code__ in _WRAPPER_CODES
    )


def _content(cell: object) -> object:
    try:
        return cell.cell_contents  # type: ignore[attr-defined]
    except ValueError:  # not filled yet: a function that its own module never finished defining
        raise NotShareable("an empty closure") from None
