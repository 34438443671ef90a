"""Modules for structures and functions: collections, itertools, functools, operator, heapq, copy.

Runs in: workers. Talks to: the standard library, guards.py. Never: offers a class whose methods set
attributes on whatever they get as `self`; a function makes its objects instead.
"""

import bisect
import collections
import collections.abc
import copy
import functools
import heapq
import itertools
import operator
from collections.abc import Callable, Iterable, MutableMapping
from types import FunctionType
from typing import Any, TypeVar

from edged.sandbox.facades.offer import Offer, pick
from edged.sandbox.guards import Guards
from edged.sandbox.methods import is_own_function

_Function = TypeVar("_Function")

ABSTRACT = (
    "Callable Collection Container Generator Hashable ItemsView Iterable Iterator KeysView"
    " Mapping MappingView"
    " MutableMapping MutableSequence MutableSet Reversible Sequence Set Sized ValuesView"
)
_OPERATOR = (
    "abs add and_ concat contains countOf delitem eq floordiv ge getitem gt iadd iand iconcat"
    " ifloordiv ilshift imatmul"
    " imod imul index indexOf inv invert ior ipow irshift is_ is_not isub itemgetter itruediv ixor"
    " le length_hint lshift"
    " lt matmul mod mul ne neg not_ or_ pos pow rshift setitem sub truediv truth xor"
)


def offers(guards: Guards) -> Offer:
    """Return the members of each module here, by module name."""
    return {
        "collections": pick(collections, "Counter OrderedDict defaultdict deque")
        | {"ChainMap": chain_map, "namedtuple": named_tuple},
        "collections.abc": pick(collections.abc, ABSTRACT) | {"Generator": AnyGenerator},
        "itertools": pick(
            itertools,
            "accumulate chain combinations combinations_with_replacement compress count cycle"
            " dropwhile filterfalse"
            " groupby islice pairwise permutations product repeat starmap takewhile tee"
            " zip_longest",
        ),
        "functools": pick(functools, "cache cmp_to_key lru_cache partial reduce")
        | {
            "cached_property": CachedProperty,
            "total_ordering": lambda cls: total_ordering(guards, cls),
            "wraps": wraps,
        },
        "operator": pick(operator, _OPERATOR)
        | {
            "attrgetter": lambda *names: attribute_getter(guards, names),
            "methodcaller": lambda name, /, *args, **kwargs: method_caller(
                guards, name, args, kwargs
            ),
        },
        "heapq": pick(
            heapq, "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest"
        ),
        "bisect": pick(bisect, "bisect bisect_left bisect_right insort insort_left insort_right"),
        "copy": {"copy": shallow_copy, "deepcopy": deep_copy},
    }


class GeneratorKind(type):
    """Says of anything whether it is a generator."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, collections.abc.Generator)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, collections.abc.Generator)


class AnyGenerator(metaclass=GeneratorKind):
    """Not the class itself: its `close` calls `throw` of whatever it gets with GeneratorExit."""

    def __class_getitem__(cls, _parameters: object) -> type:
        return cls


def shallow_copy(value: object) -> object:
    return copy.copy(value)


def deep_copy(value: object) -> object:
    """Copy without a memo: the library keeps the originals of all it passes through in there."""
    return copy.deepcopy(value)


def chain_map(*maps: MutableMapping[object, object]) -> collections.ChainMap[object, object]:
    return collections.ChainMap(*maps)


def named_tuple(
    typename: str,
    field_names: str | Iterable[str],
    *,
    rename: bool = False,
    defaults: Iterable[object] | None = None,
) -> type:
    """Make a named tuple; the library builds source from these names, so they must be str."""
    names = field_names if type(field_names) is str else list(field_names)
    if type(typename) is not str or any(type(name) is not str for name in names):
        raise TypeError("the names of a named tuple must be plain strings")
    return collections.namedtuple(  # noqa: PYI024 # its names are known at run time only
        typename, names, rename=rename, defaults=defaults, module="program"
    )


class CachedProperty:
    """functools.cached_property without the lock of Python 3.11: a lock outlives the call."""

    __slots__ = ("_name", "func")

    def __init__(self, func: Callable[[Any], object]) -> None:
        self.func = func
        self._name = ""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = self._name or name

    def __get__(self, instance: Any, _owner: type | None = None) -> object:
        if instance is None:
            return self
        kept = vars(instance)
        if self._name not in kept:
            kept[self._name] = self.func(instance)
        return kept[self._name]


def total_ordering(guards: Guards, cls: Any) -> type:
    guards.check_changeable(cls)
    ordered: type = functools.total_ordering(cls)
    return ordered


def wraps(wrapped: object, *_names: object) -> Callable[[_Function], _Function]:
    """Give the wrapper the wrapped function's name, on a copy: it may itself outlive the call."""

    def decorate(wrapper: _Function) -> _Function:
        if not (is_own_function(wrapper) and is_own_function(wrapped)):
            return wrapper
        return renamed(wrapper, wrapped)  # type: ignore[return-value]

    return decorate


def renamed(wrapper: Any, wrapped: Any) -> FunctionType:
    """Return a copy of `wrapper` under the name of `wrapped`."""
    named = FunctionType(
        wrapper.__code__,
        wrapper.__globals__,
        wrapped.__name__,
        wrapper.__defaults__,
        wrapper.__closure__,
    )
    named.__kwdefaults__ = wrapper.__kwdefaults__
    named.__doc__ = wrapped.__doc__
    return named


def method_caller(
    guards: Guards, name: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[object], object]:
    """Do what operator.methodcaller does, the name judged like one in the source."""

    def call(owner: object) -> object:
        method: Any = guards.getattr(owner, name)
        return method(*args, **kwargs)

    return call


def attribute_getter(guards: Guards, names: tuple[object, ...]) -> Callable[[object], object]:
    """Do what operator.attrgetter does, each part of each name judged like one in the source."""
    paths = [name.split(".") if type(name) is str else [name] for name in names]

    def read(owner: object) -> object:
        found = tuple(functools.reduce(guards.getattr, path, owner) for path in paths)
        return found[0] if len(found) == 1 else found

    return read
