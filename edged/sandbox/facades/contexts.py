"""The contextlib module as programs see it.

The library's own context managers hand what ends a block to the program: a traceback (on Python
3.11), and what is no Exception, such as the deadline.

Runs in: workers. Talks to: the standard library, methods.py. Never: gives a program an error that
it could not have caught itself.
"""

import contextlib
from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any, TypeVar

from edged.sandbox.methods import is_own_function

_Function = TypeVar("_Function", bound=Callable[..., object])


def offered() -> dict[str, object]:
    """Return the members of the contextlib module."""
    return {
        "contextmanager": context_manager,
        "nullcontext": lambda enter_result=None: contextlib.nullcontext(enter_result),
        "suppress": make_suppress,
    }


def make_suppress(*errors: object) -> contextlib.suppress:
    """Make a suppress(). Not the class itself: it sets attributes on whatever it gets as `self`."""
    if not all(isinstance(error, type) and issubclass(error, Exception) for error in errors):
        raise TypeError("suppress takes classes of exceptions")
    return contextlib.suppress(*errors)  # type: ignore[arg-type]


def context_manager(function: Callable[..., object]) -> Callable[..., "GeneratorContext"]:
    """Do what contextlib.contextmanager does, for generators only."""

    def make(*args: object, **kwargs: object) -> GeneratorContext:
        return GeneratorContext(lambda: function(*args, **kwargs))

    return _named(make, function)


class GeneratorContext:
    """A block around which a generator runs."""

    __slots__ = ("_generator", "_start")

    def __init__(self, start: Callable[[], object]) -> None:
        self._start = start
        self._generator = _generator_of(start)

    def __call__(self, function: Callable[..., object]) -> Callable[..., object]:
        """Decorate a function: each call of it is a block."""

        def decorated(*args: object, **kwargs: object) -> object:
            with GeneratorContext(self._start):
                return function(*args, **kwargs)
            return None  # the generator caught it

        return _named(decorated, function)

    def __enter__(self) -> object:
        try:
            return next(self._generator)
        except StopIteration:
            raise RuntimeError("generator didn't yield") from None

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: object
    ) -> bool:
        if error is None:
            self._finish()
            return False
        if not isinstance(error, Exception):
            self._generator.close()
            return False
        return self._throw(error)

    def _finish(self) -> None:
        try:
            next(self._generator)
        except StopIteration:
            return
        self._generator.close()
        raise RuntimeError("generator didn't stop")

    def _throw(self, error: Exception) -> bool:
        """Return whether the generator caught it; raises what it raises instead."""
        try:
            self._generator.throw(error)
        except StopIteration as stop:
            return stop is not error
        except Exception as raised:
            is_wrapped = isinstance(error, StopIteration) and raised.__cause__ is error
            if raised is error or (is_wrapped and isinstance(raised, RuntimeError)):
                return False
            raise
        self._generator.close()
        raise RuntimeError("generator didn't stop after throw()")


def _named(wrapper: _Function, function: Callable[..., object]) -> _Function:
    if is_own_function(function):
        wrapper.__name__ = function.__name__
    return wrapper


def _generator_of(start: Callable[[], object]) -> Generator[object, Any, Any]:
    generator = start()
    if type(generator) is not GeneratorType:
        raise TypeError("contextmanager decorates generator functions")
    return generator
