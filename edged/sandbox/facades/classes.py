"""Modules for classes and annotations: enum, abc, typing, and those of records.py and contexts.py.

Nothing of the real typing module is offered but its class syntax: its objects forward attributes to
the classes they stand for, and its caches would carry a program's objects from one call to the
next.

Runs in: workers. Talks to: the standard library, guards.py. Never: evaluates an annotation.
"""

import abc
import collections.abc
import enum
import typing
from types import FunctionType

from edged.sandbox.facades import contexts, records
from edged.sandbox.facades.offer import Offer
from edged.sandbox.facades.structures import renamed
from edged.sandbox.guards import BaseDoor, Guards
from edged.sandbox.methods import is_own_function


class ProgramEnumType(enum.EnumType):
    """Enum classes by class statement only: the call that makes one from text takes any name."""

    def __call__(cls, value: object, *names: object, **options: object) -> typing.Any:
        if names or options:
            raise TypeError("an Enum is made by a class statement; write class Name(Enum): A = 1")
        return cls.__new__(cls, value)  # type: ignore[arg-type, call-arg]  # the members' own


class ProgramEnum(enum.Enum, metaclass=ProgramEnumType):
    pass


class ProgramIntEnum(enum.IntEnum, ProgramEnum, metaclass=ProgramEnumType):
    # Said again, or the enum machinery takes them from the last base.
    __str__ = enum.IntEnum.__str__
    __repr__ = enum.IntEnum.__repr__
    __format__ = enum.IntEnum.__format__  # type: ignore[assignment]


class ProgramStrEnum(enum.StrEnum, ProgramEnum, metaclass=ProgramEnumType):
    __str__ = enum.StrEnum.__str__
    __repr__ = enum.StrEnum.__repr__
    __format__ = enum.StrEnum.__format__  # type: ignore[assignment]

    @staticmethod
    def _generate_next_value_(name: str, _start: int, _count: int, _last: list[str]) -> str:
        return name.lower()


class GenericBase:
    """What Generic[T] and Protocol come down to."""

    def __class_getitem__(cls, _parameters: object) -> type:
        return cls


class TypingName(BaseDoor):
    """A name of the typing module: takes any parameters, is any annotation, does nothing.

    bases: what it comes down to in a class statement; None: it may not stand there. origin: what
    isinstance asks about.
    """

    __slots__ = ("_bases", "_origin")

    def __init__(self, *, bases: tuple[type, ...] | None = (), origin: type = object) -> None:
        self._bases = bases
        self._origin = origin

    def __getitem__(self, _parameters: object) -> "TypingName":
        return self

    def __or__(self, _other: object) -> "TypingName":
        return self

    __ror__ = __or__

    def __instancecheck__(self, value: object) -> bool:
        if self._origin is object:
            raise TypeError("isinstance() needs a class")
        return isinstance(value, self._origin)

    def __mro_entries__(self, _bases: tuple[object, ...]) -> tuple[type, ...]:
        if self._bases is None:
            raise TypeError("this cannot be a base class of a program")
        return self._bases


def offers(guards: Guards) -> Offer:
    """Return the members of each module here, by module name."""
    return {
        "dataclasses": records.offered(guards),
        "enum": {
            "Enum": ProgramEnum,
            "IntEnum": ProgramIntEnum,
            "StrEnum": ProgramStrEnum,
            "auto": make_auto,
            "unique": enum.unique,
        },
        "abc": {"ABC": abc.ABC, "abstractmethod": abstract_method},
        "contextlib": contexts.offered(),
        "typing": _typing(),
    }


def make_auto() -> enum.auto:
    """Make an auto(). Not the class itself: it sets attributes on whatever it gets as `self`."""
    return enum.auto()


def abstract_method(function: object) -> object:
    """Mark a method of the program as abstract; the original would mark anything it is given.

    A function is marked on a copy: it may itself outlive the call.
    """
    if is_own_function(function):
        function = renamed(function, function)
    elif not isinstance(function, property | classmethod | staticmethod):
        raise TypeError("abstractmethod is for the program's own methods")
    return abc.abstractmethod(function)  # type: ignore[type-var]


_ORIGINS: dict[str, type] = {
    "List": list, "Dict": dict, "Set": set, "FrozenSet": frozenset, "Tuple": tuple, "Text": str,
    "DefaultDict": collections.defaultdict, "Deque": collections.deque,
    "Counter": collections.Counter,
    "OrderedDict": collections.OrderedDict, "Callable": collections.abc.Callable,  # type: ignore[dict-item]
    "Iterable": collections.abc.Iterable,
    "Iterator": collections.abc.Iterator, "Mapping": collections.abc.Mapping,
    "MutableMapping": collections.abc.MutableMapping, "Sequence": collections.abc.Sequence,
    "MutableSequence": collections.abc.MutableSequence, "Collection": collections.abc.Collection,
    "Hashable": collections.abc.Hashable, "Sized": collections.abc.Sized,
    "Generator": collections.abc.Generator,
    "AbstractSet": collections.abc.Set, "MutableSet": collections.abc.MutableSet,
    "Container": collections.abc.Container, "Reversible": collections.abc.Reversible,
    "ItemsView": collections.abc.ItemsView, "KeysView": collections.abc.KeysView,
    "ValuesView": collections.abc.ValuesView,
}  # fmt: skip
_WORDS = (
    "Annotated Any AnyStr ClassVar Concatenate Final Literal LiteralString Match Never NoReturn"
    " NotRequired Optional Pattern Required Self SupportsAbs SupportsFloat SupportsIndex"
    " SupportsInt Type TypeAlias TypeGuard Union Unpack"
)


def _typing() -> dict[str, object]:
    offered: dict[str, object] = {
        name: TypingName(origin=origin, bases=() if origin is str else (origin,))
        for name, origin in _ORIGINS.items()
    }
    # Its close() would give a program GeneratorExit, which no source can name.
    offered["Generator"] = TypingName(origin=collections.abc.Generator, bases=None)
    offered |= {name: TypingName() for name in _WORDS.split()}
    offered |= {name: TypingName(bases=(GenericBase,)) for name in ("Generic", "Protocol")}
    for name in ("NamedTuple", "TypedDict"):
        real = getattr(typing, name)
        offered[name] = TypingName(bases=real.__mro_entries__((real,)))
    return offered | {
        "TYPE_CHECKING": False,
        "NewType": lambda _name, _base: _same,
        "TypeVar": lambda _name, *_constraints, **_options: TypingName(),
        "cast": lambda _annotation, value: value,
        "final": _same,
        "overload": _same,
    }


def _same(value: FunctionType) -> FunctionType:
    return value
