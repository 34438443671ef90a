"""The checks that need a value: the hooks that transformer.py writes, and the builtins upon them.

Runs in: workers. Talks to: names.py, methods.py, formatting.py. Never: is reachable by name from a
program (hooks start with an underscore, and after folding no name of a program does).
"""

import builtins
import enum
import functools
from collections.abc import Callable
from types import (
    BuiltinMethodType,
    GenericAlias,
    MappingProxyType,
    MethodDescriptorType,
    MethodType,
    TracebackType,
)
from typing import ClassVar

from edged.sandbox.formatting import TemplateFormatter
from edged.sandbox.methods import (
    as_abstract,
    bound,
    for_objects_of,
    is_own_function,
    lacks_object,
    new_of_its_class,
)
from edged.sandbox.names import BAR, GUARDED_ATTRIBUTES, METHODS, OWN, fold_attribute, unfold
from edged.sandbox.permits import CLASS_OF, HASH, SET

_SCALARS = (str, bytes, int, float)
_ABSENT = object()
_MISSING = object()


class BaseDoor:
    """Something of ours that may stand among a program's bases and is no class: Generic[T]."""

    __slots__ = ()


def is_own_class(value: object) -> bool:
    """Whether a class statement of the program made this class."""
    return isinstance(value, type) and getattr(value, OWN, False) is True


def is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


class Guards:
    """The hooks of one program.

    bases: the classes of Python's that a program may inherit from. visible_types: those that type()
    may answer.
    """

    def __init__(self, bases: frozenset[type], visible_types: frozenset[type]) -> None:
        self._bases = bases
        self._visible_types = visible_types
        self._sealed: frozenset[type] = frozenset()  # classes that outlive a call
        formatter = TemplateFormatter(self.getattr)
        self._formats: dict[str, Callable[..., str]] = {
            "format": lambda template, /, *args, **kwargs: formatter.format_text(
                template, args, kwargs
            ),
            "format_map": lambda template, mapping, /: formatter.format_text_map(template, mapping),
        }

    def seal(self, classes: frozenset[type]) -> None:
        """From now on nothing can be stored on these classes, nor on the members of enums."""
        self._sealed = classes

    def hooks(self) -> dict[str, object]:
        """Return what transformer.py refers to."""
        return {
            "_store_": self.store,
            "_guarded_": self.guarded,
            "_magic_": self.magic,
            "_bound_": bound,
            "_name_of_": name_of,
            "_bases_": self.check_bases,
            "_exit_": exit_without_traceback,
            "_new_": new_of_its_class,
            "_Exception_": Exception,
            "_ClassVar_": ClassVar,
            HASH: hash,
            CLASS_OF: self.type_of,
            SET: self.set_on_frozen,
        }

    def builtins(self) -> dict[str, object]:
        """Return the builtins that need a guard.

        Plain functions, not methods: copying a method copies what it is bound to.
        """
        return {
            "getattr": _function(self.getattr),
            "hasattr": _function(self.hasattr),
            "setattr": _function(self.setattr),
            "type": _function(self.type_of),
        }

    def check_changeable(self, cls: object) -> None:
        """Raise TypeError unless `cls` is a class of the program that does not outlive the call."""
        if not is_own_class(cls):
            raise TypeError("only the program's own classes can be changed")
        if cls in self._sealed:
            raise TypeError("a class of the module cannot be changed: it outlives the call")

    # Hooks.

    def store(self, target: object) -> object:
        """Return `target` if the program may set its attributes, else raise TypeError."""
        kind = type(target)
        if getattr(kind, OWN, False) is not True:
            if not isinstance(target, type):
                raise TypeError(
                    "attributes can be set on objects of the program's own classes only"
                )
            self.check_changeable(target)
        elif kind in self._sealed and isinstance(target, enum.Enum):
            raise TypeError("a member of an enum cannot be changed: it outlives the call")
        return target

    def guarded(self, owner: object, name: str) -> object:
        """Read one of GUARDED_ATTRIBUTES, or a safe stand-in where Python's own is not."""
        if name == "obj" and not _has_own_fields(owner):
            raise AttributeError("'obj' can be read from the program's own objects only")
        value = getattr(owner, name)
        kind = type(value)
        if kind is BuiltinMethodType and isinstance(value.__self__, str):
            return functools.partial(self._formats[name], value.__self__)
        if kind is MethodDescriptorType and value.__objclass__ is str:
            return self._formats[name]
        if kind is MappingProxyType and name == "groupindex":  # of a pattern that outlives the call
            return MappingProxyType(dict(value))
        # A view's `mapping` gives the dict itself away to a program's `__or__` or `__eq__`;
        # `register` of an abstract class would be remembered by the next call.
        is_foreign_method = kind is MethodType and not is_own_function(value.__func__)
        if kind is MappingProxyType or (name == "register" and is_foreign_method):
            raise AttributeError(f"the attribute {name!r} is not available to programs")
        return value

    def magic(self, owner: object, name: str) -> object:
        """Read a magic method, from the program's own classes and the plain types of Python.

        Others would run library code that no program has a use for.
        """
        cls = owner if isinstance(owner, type) else type(owner)
        if not (is_own_class(cls) or cls in self._bases):
            raise AttributeError(
                f"{name} can be reached through super() or the program's own classes only"
            )
        value = getattr(owner, name)
        if name != "__new__" and lacks_object(value):
            return for_objects_of(cls, value)
        return value

    def set_on_frozen(self, owner: object, name: object, value: object) -> None:
        """Set an attribute past the `__setattr__` of a frozen dataclass."""
        object.__setattr__(self.store(owner), fold_attribute(name), value)

    def check_bases(self, defined: tuple[str, ...], *bases: object) -> tuple[object, ...]:
        """Return `bases` if a class defining these magic methods may have them, or TypeError."""
        for base in bases:
            plain = base.__origin__ if type(base) is GenericAlias else base
            is_known = is_own_class(plain) or isinstance(plain, BaseDoor)
            if not (is_known or self._is_given_base(plain)):
                raise TypeError("this cannot be a base class of a program")
        classes = [base for base in bases if isinstance(base, type)]
        if any(issubclass(base, _SCALARS) for base in classes):
            _check_scalar(defined, classes)
        return bases

    def _is_given_base(self, base: object) -> bool:
        return isinstance(base, type) and (base in self._bases or issubclass(base, tuple))

    # Builtins.

    def getattr(self, owner: object, name: object, default: object = _ABSENT) -> object:
        if type(name) is str and name in METHODS and hasattr(owner, name):
            return self.magic(owner, name)
        try:
            if name == "__name__":
                return name_of(owner)
            attribute = fold_attribute(name)
            return (
                self.guarded(owner, attribute)
                if attribute in GUARDED_ATTRIBUTES
                else getattr(owner, attribute)
            )
        except AttributeError:
            if default is _ABSENT:
                raise
            return default

    def hasattr(self, owner: object, name: object) -> bool:
        if type(name) is str and name in METHODS:
            return hasattr(owner, name)
        return self.getattr(owner, name, _MISSING) is not _MISSING

    def setattr(self, owner: object, name: object, value: object) -> None:
        setattr(self.store(owner), fold_attribute(name), value)

    def type_of(self, value: object, *parts: object) -> type:
        """Return the class of a value; TypeError where programs have no use for it."""
        if parts:
            raise TypeError("type() takes one value; write a class statement")
        kind = type(value)
        if (
            is_own_class(kind)
            or kind in self._visible_types
            or issubclass(kind, Exception)
            or is_named_tuple(kind)
        ):
            return kind
        raise TypeError(
            "type() of a class, a function or a library's object is not available to programs"
        )


def _has_own_fields(owner: object) -> bool:
    """Whether what an attribute holds is the program's affair: Python sets `obj` on errors."""
    cls = owner if isinstance(owner, type) else type(owner)
    return (is_own_class(cls) or is_named_tuple(cls)) and not issubclass(cls, BaseException)


def _function(method: Callable[..., object]) -> Callable[..., object]:
    return lambda *arguments: method(*arguments)  # noqa: PLW0108 # a partial would copy like a method


def name_of(owner: object) -> object:
    """Read `__name__`, in the program's own spelling."""
    name = owner.__name__  # type: ignore[attr-defined]
    return unfold(name) if type(name) is str else name


def build_class(
    body: Callable[[], object], name: str, /, *bases: object, **options: object
) -> type:
    """Stand in for `__build_class__`: a private class shows as its author wrote it."""
    made: type = builtins.__build_class__(body, unfold(name), *bases, **options)
    if BAR in made.__qualname__:
        made.__qualname__ = unfold(made.__qualname__)
    return made


def _check_scalar(defined: tuple[str, ...], classes: list[type]) -> None:
    # A library that keeps what it was given as a key would keep such an object, and with it what it
    # remembers, from one call to the next. Labels (`class Label(str, Enum)`) are common and
    # harmless; the rest is refused.
    if not any(issubclass(base, enum.Enum) for base in classes):
        raise TypeError("str, bytes, int and float can be base classes of an Enum only")
    own = {cls for base in classes for cls in base.__mro__ if is_own_class(cls)}
    if {"__eq__", "__hash__"} & {*defined, *(name for cls in own for name in vars(cls))}:
        raise TypeError("an Enum of str, bytes, int or float cannot define __eq__ or __hash__")
    if any(is_own_class(base) and not issubclass(base, enum.Enum) for base in classes):
        raise TypeError(
            "an Enum of str, bytes, int or float cannot inherit from a class of the program"
        )


def exit_without_traceback(function: Callable[..., object]) -> Callable[..., object]:
    """Wrap a program's `__exit__`: it sees no traceback, and no deadline of ours."""

    def exit_(
        owner: object,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> object:
        if kind is not None and not issubclass(kind, Exception):
            if issubclass(kind, GeneratorExit):  # raised by `close`, and no deadline
                function(owner, None, None, None)
            return False
        return function(owner, kind, error, None)

    return as_abstract(function, exit_)
