"""What leaves a program: its result as JSON bytes, its confidence, its error as text.

This is the canonical encoder. It takes JSON's types, and what converts to them without any code of
the program: named tuples, the dicts of `collections`, numbers as keys, members of an enum of str,
int or float. It gives what `json.dumps(value, ensure_ascii=False, separators=(",", ":"),
allow_nan=False)` gives, so that an artifact's ZIP on plain Python and the edge agree byte for byte.

Runs in: workers, inside the timed region. Talks to: nobody. Never: calls a method of a program's
object.
"""

import collections
import enum
import math
from _json import make_encoder
from collections.abc import Callable
from json import encoder
from typing import Any, Final

from edged.sandbox.guards import is_named_tuple
from edged.sandbox.names import unfold

MAX_DEPTH: Final = 100  # levels; deeper results break other JSON readers before they break this one
MAX_MESSAGE_CHARS: Final = 500
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_TOO_DEEP: Final = f"output is nested deeper than {MAX_DEPTH} levels"
_quote: Final = encoder.encode_basestring
# What json.JSONEncoder makes anew for each value, which costs more than the encoding. repr stands
# for `default`: nothing that needs it passes `_measure`.
_chunks: Final = make_encoder(None, repr, _quote, None, ":", ",", False, False, False)  # noqa: FBT003
_DICTS: Final = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)
_PLAIN: Final[tuple[tuple[type, Callable[[Any], object]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
_CONSTANTS: Final = {None: "null", True: "true", False: "false"}
_TYPE_NAME = type.__dict__["__name__"].__get__
_ARGS = BaseException.__dict__["args"].__get__


class ResultRefused(Exception):
    """The result is not JSON; the message says what is wrong, and where."""


def encode(value: object, *, max_bytes: int) -> bytes:
    """Return `value` as compact UTF-8 JSON; raises ResultRefused if it is not JSON."""
    try:
        _measure(value, max_bytes, 0)
        text = _quote(value) if type(value) is str else "".join(_chunks(value, 0))
        encoded = text.encode("utf-8")
    except _Breach as breach:
        raise ResultRefused(breach.spell()) from None
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


class _Breach(Exception):
    """What is wrong with a value, and where: the place is gathered on the way out."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.path: list[str | int] = []  # innermost first

    def spell(self) -> str:
        place = "output" + "".join(
            f".{part}" if isinstance(part, str) else f"[{part}]" for part in reversed(self.path)
        )
        return f"{place[:MAX_MESSAGE_CHARS].encode('utf-8', 'replace').decode('utf-8')} {self.what}"


def _measure(value: object, most_bytes: int, depth: int) -> int:
    """Return how many bytes its JSON needs at least: a bomb is noticed unencoded.

    Raises _Breach for what is not JSON, ResultRefused for what is too large or too deep.
    """
    kind = type(value)
    if kind is str:
        size = 2 + len(value)  # type: ignore[arg-type]
    elif kind is dict:
        size = _measure_dict(value, most_bytes, depth + 1)  # type: ignore[arg-type]
    elif kind is list or kind is tuple:
        size = _measure_sequence(value, most_bytes, depth + 1)  # type: ignore[arg-type]
    elif kind is bool or value is None:
        size = 4
    elif kind is int or kind is float:
        _check_number(value)  # type: ignore[arg-type]
        size = 1
    else:
        size = _measure_converted(value, kind, most_bytes, depth)
    if size > most_bytes:
        raise ResultRefused(f"output is larger than {most_bytes} bytes")
    return size


def _measure_dict(value: dict[object, object], most_bytes: int, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise ResultRefused(_TOO_DEEP)
    size, converted = 1, False
    for key, item in value.items():
        text = key
        if type(text) is not str:
            text, converted = _key_text(key), True
        try:
            size += 4 + len(text) + _measure(item, most_bytes, depth)
        except _Breach as breach:
            breach.path.append(text)
            raise
        if size > most_bytes:
            return size
    if converted and len(set(map(_key_text, value))) < len(value):
        raise _Breach("has two keys that are the same text")
    return size


def _measure_sequence(value: list[object] | tuple[object, ...], most_bytes: int, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise ResultRefused(_TOO_DEEP)
    size = 1
    for index, item in enumerate(value):
        try:
            size += 1 + _measure(item, most_bytes, depth)
        except _Breach as breach:
            breach.path.append(index)
            raise
        if size > most_bytes:
            break
    return size


def _measure_converted(value: Any, kind: type, most_bytes: int, depth: int) -> int:
    """Measure what the encoder takes for one of JSON's types; raises _Breach for anything else."""
    if kind in _DICTS:
        return _measure_dict(value, most_bytes, depth + 1)
    if is_named_tuple(kind) and kind.__iter__ is tuple.__iter__:  # type: ignore[attr-defined]
        return _measure_sequence(value, most_bytes, depth + 1)
    plain = _plain(value, kind)
    if plain is value:
        raise _Breach(f"is {_article(value)}")
    return _measure(plain, most_bytes, depth)


def _plain(value: Any, kind: type) -> object:
    """Return a member of an enum of str, int or float as the one of these that it is."""
    if issubclass(kind, enum.Enum):
        for base, read in _PLAIN:
            if issubclass(kind, base):
                return read(value)
    return value


def _key_text(key: object) -> str:
    """Return what a key becomes; the encoder does the same."""
    key = _plain(key, type(key))
    if type(key) is str:
        return key
    if key is None or type(key) is bool:
        return _CONSTANTS[key]
    if type(key) is int or type(key) is float:
        _check_number(key, "has a key that ")
        return repr(key)
    raise _Breach(f"has a key that is {_article(key)}")


def _check_number(value: float, subject: str = "") -> None:
    if type(value) is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise _Breach(f"{subject}is an integer beyond 64 bits")
    elif not math.isfinite(value):
        raise _Breach(f"{subject}is not a finite number")


def _article(value: object) -> str:
    name = unfold(_TYPE_NAME(type(value)))
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
