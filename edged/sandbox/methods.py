"""Functions that came without their object: what they may be called with, and what they may return.

A function of a library, taken from its class, would take any object as its `self`, and some set
attributes on it: the `__init__` of a dataclass or of a view. What is written in C checks its
`self`; what a program wrote passes the guards of its own source. So one rule is left for the rest:
it takes objects of its class. And a `__new__` of the program's returns an object of its class,
since the libraries that call it set attributes on what they get.

Runs in: workers. Talks to: nobody. Never: runs for a method that is called on its object.
"""

from collections.abc import Callable
from types import FunctionType
from typing import TypeVar

_Function = TypeVar("_Function", bound=Callable[..., object])

PROGRAM_FILE = "program.py"
"""The file name in every code object of a program: how its functions are told from ours."""


def is_own_function(value: object) -> bool:
    return type(value) is FunctionType and value.__code__.co_filename == PROGRAM_FILE


def lacks_object(value: object) -> bool:
    """Whether this is a function of a library's as its class holds it."""
    return type(value) is FunctionType and not is_own_function(value)


def bound(method: object) -> object:
    """Pass on what super() gave, if it came with its object."""
    if lacks_object(method):
        raise TypeError("super() needs an object of the class here, and not the class")
    return method


def for_objects_of(cls: type, function: Callable[..., object]) -> Callable[..., object]:
    """Wrap a function of a library's: its first argument is an object of `cls`."""

    def method(owner: object, /, *args: object, **kwargs: object) -> object:
        if cls not in type(owner).__mro__:
            raise TypeError(f"a method of {cls.__name__} takes an object of this class first")
        return function(owner, *args, **kwargs)

    return method


def new_of_its_class(function: Callable[..., object]) -> Callable[..., object]:
    """Wrap a program's `__new__`: what it returns is an object of its class."""

    def new(cls: type, /, *args: object, **kwargs: object) -> object:
        made = function(cls, *args, **kwargs)
        if cls not in type(made).__mro__:
            raise TypeError("__new__ must return an object of its class")
        return made

    return as_abstract(function, new)


def as_abstract(function: object, wrapper: _Function) -> _Function:
    """Return a wrapper that is abstract where what it wraps is."""
    if getattr(function, "__isabstractmethod__", False):
        vars(wrapper)["__isabstractmethod__"] = True
    return wrapper
