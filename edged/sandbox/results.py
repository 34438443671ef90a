"""What leaves a program: its result as JSON bytes, its confidence, its error as text.

This is the canonical encoder. It takes exactly JSON's types, so that no code of the program runs
while it encodes, and gives what `json.dumps(value, ensure_ascii=False, separators=(",", ":"),
allow_nan=False)` gives, so that an artifact's ZIP on plain Python and the edge agree byte for byte.

Runs in: workers, inside the timed region. Talks to: nobody. Never: calls a method of a program's
object.
"""

import json
import math
from typing import Final

from edged.sandbox.names import unfold

MAX_DEPTH: Final = 100  # levels; deeper results break other JSON readers before they break this one
MAX_MESSAGE_CHARS: Final = 500
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_ENCODE = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
_TYPE_NAME = type.__dict__["__name__"].__get__
_ARGS = BaseException.__dict__["args"].__get__


class ResultRefused(Exception):
    """The result is not JSON; the message says what is wrong, and where."""


def encode(value: object, *, max_bytes: int) -> bytes:
    """Return `value` as compact UTF-8 JSON; raises ResultRefused if it is not exactly JSON."""
    _Check(max_bytes).check(value, (), 0)
    try:
        encoded = _ENCODE(value).encode("utf-8")
    except UnicodeEncodeError:
        raise ResultRefused(
            "output holds text that is not valid Unicode (a lone surrogate)"
        ) from None
    if len(encoded) > max_bytes:
        raise ResultRefused(f"output is larger than {max_bytes} bytes")
    return encoded


def split_confidence(value: object) -> tuple[object, float]:
    """Return the parts of `{"output": …, "confidence": 0 to 1}`; else raises ResultRefused."""
    if type(value) is not dict or any(type(key) is not str for key in value):
        raise ResultRefused('result is not {"output": …, "confidence": …}')
    if value.keys() != {"output", "confidence"}:
        raise ResultRefused('result has other keys than "output" and "confidence"')
    confidence = value["confidence"]
    if type(confidence) not in (int, float) or not 0 <= confidence <= 1:
        raise ResultRefused("confidence is not a number from 0 to 1")
    return value["output"], float(confidence)


def describe_error(error: BaseException) -> tuple[str, str]:
    """Return the name of an error's class and its message, without running any code of the program.

    So the message is built from `args`, where they are plain, and never asked for with str().
    """
    arguments = _ARGS(error)
    text = ", ".join(map(_describe_argument, arguments[:5]))
    return _clean(_TYPE_NAME(type(error))), _clean(text)


def _describe_argument(value: object) -> str:
    if type(value) is str:
        return value[:MAX_MESSAGE_CHARS]
    if type(value) in (bool, float, type(None)) or (type(value) is int and abs(value) <= _INT_MAX):
        return repr(value)
    return f"<{_TYPE_NAME(type(value))}>"


def _clean(text: str) -> str:
    return unfold(text)[:MAX_MESSAGE_CHARS].encode("utf-8", "replace").decode("utf-8")


Path = tuple[str | int, ...]


class _Check:
    """Walks a result once, counting the bytes it needs at least: a bomb is noticed unencoded."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0

    def check(self, value: object, path: Path, depth: int) -> None:
        kind = type(value)
        self._bytes += 1 if kind is not str else 2 + len(value)  # type: ignore[arg-type]
        if self._bytes > self._max_bytes:
            raise ResultRefused(f"output is larger than {self._max_bytes} bytes")
        if kind is str or kind is bool or value is None:
            return
        if kind is dict or kind is list or kind is tuple:
            self._check_container(value, path, depth + 1)
        else:
            _check_number(value, path)

    def _check_container(self, value: object, path: Path, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ResultRefused(f"output is nested deeper than {MAX_DEPTH} levels")
        if type(value) is dict:
            for key, item in value.items():
                if type(key) is not str:
                    raise ResultRefused(f"{_spell(path)} has a key that is {_article(key)}")
                self._bytes += 3 + len(key)
                self.check(item, (*path, key), depth)
        elif type(value) is list or type(value) is tuple:
            for index, item in enumerate(value):
                self.check(item, (*path, index), depth)


def _check_number(value: object, path: Path) -> None:
    if type(value) is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise ResultRefused(f"{_spell(path)} is an integer beyond 64 bits")
    elif type(value) is not float:
        raise ResultRefused(f"{_spell(path)} is {_article(value)}")
    elif not math.isfinite(value):
        raise ResultRefused(f"{_spell(path)} is not a finite number")


def _spell(path: Path) -> str:
    spelled = "output" + "".join(
        f".{part}" if isinstance(part, str) else f"[{part}]" for part in path
    )
    return spelled[:MAX_MESSAGE_CHARS].encode("utf-8", "replace").decode("utf-8")


def _article(value: object) -> str:
    name = unfold(_TYPE_NAME(type(value)))
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
