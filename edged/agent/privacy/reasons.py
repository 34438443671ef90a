"""Name an error without what it quotes.

Pure. Used by: the filter. Never: takes any word for an error's name.
"""

import builtins
from collections.abc import Iterator

from edged.errors import LoopaiError

UNNAMED = "withheld"

# What the gateway says of a version that it refuses; the details behind it quote.
_OWN = frozenset({"program refused", "self-test failed"})
_BUILT_IN = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)


def describe(error: BaseException | str) -> str:
    """Return `name: text`; a text is returned as it is. Of the system's errors no path is said."""
    if isinstance(error, str):
        return error
    text = error.strerror if isinstance(error, OSError) else str(error)
    return f"{_name(error)}: {text}" if text else _name(error)


def bare_name(error: BaseException | str) -> str:
    """Return the code or the class of the error, and nothing else of it.

    Of a text: the known name it starts with, or with which its last line does, as a traceback has
    it. A program may raise an error whose whole text is its input, so a name counts only when it
    is Python's or ours.
    """
    if not isinstance(error, str):
        return _name(error)
    known = _BUILT_IN.union(_OWN, _codes(LoopaiError))
    lines = error.strip().split("\n")
    heads = (line.partition(":")[0].strip() for line in (lines[0], lines[-1]))
    return next((head for head in heads if head in known), UNNAMED)


def _name(error: BaseException) -> str:
    return error.code if isinstance(error, LoopaiError) else type(error).__name__


def _codes(family: type[LoopaiError]) -> Iterator[str]:
    for branch in family.__subclasses__():
        if "code" in vars(branch):
            yield branch.code
        yield from _codes(branch)
