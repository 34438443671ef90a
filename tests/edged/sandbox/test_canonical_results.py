"""The canonical encoder, the confidence, and the text of errors."""

import json
import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sandbox.loader import load
from edged.sandbox.results import ResultRefused, describe_error, encode, split_confidence

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_bytes_are_those_of_the_standard_library(value: Any) -> None:
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    assert encode(value, max_bytes=1_000_000) == expected.encode()


def looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def wide_loop() -> list[Any]:
    value: list[Any] = [1]
    for _ in range(80):
        value = [value] * 10
    return value


class Text(str):
    __slots__ = ()


class Plain(Enum):
    A = "a"


class Big(IntEnum):
    A = 2**63


class Word(StrEnum):
    A = "a"


class Ratio(float, Enum):
    HALF = 0.5

    def __repr__(self) -> str:
        raise AssertionError("called")


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 # as programs write it


class Walks(namedtuple("Walks", "a")):  # noqa: PYI024 # the same
    __slots__ = ()

    def __iter__(self) -> Any:
        raise AssertionError("called")


@pytest.mark.parametrize(
    "value",
    [
        Counter("aab"),
        OrderedDict(b=1, a=2),
        defaultdict(list, x=[1]),
        Pair(1, Pair("é", None)),
        {1: "a", 2.5: "b", False: "c", None: "d", "e": -0.0},
        {Word.A: Word.A, Ratio.HALF: [Ratio.HALF]},
        Word.A,
    ],
)
def test_what_converts_to_json_gives_the_bytes_of_the_standard_library(value: object) -> None:
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    assert encode(value, max_bytes=1_000) == expected.encode()


def test_an_ordered_dict_keeps_the_order_it_was_given_later() -> None:
    moved = OrderedDict(a=1, b=2)
    moved.move_to_end("a")

    assert encode(moved, max_bytes=1_000) == b'{"b":2,"a":1}'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"items": [1, 2, 3, {4}]}, "output.items[3] is a set"),
        ({"a": {(1,): 2}}, "output.a has a key that is a tuple"),
        ({"a": {2**63: 2}}, "output.a has a key that is an integer beyond 64 bits"),
        ({math.inf: 2}, "output has a key that is not a finite number"),
        ({"a": {1: 2, "1": 3}}, "output.a has two keys that are the same text"),
        ({1: {2}}, "output.1 is a set"),
        (Plain.A, "output is a Plain"),
        (Big.A, "output is an integer beyond 64 bits"),
        (Walks(1), "output is a Walks"),
        ([math.nan], "output[0] is not a finite number"),
        ([-math.inf], "output[0] is not a finite number"),
        ({"n": 2**63}, "output.n is an integer beyond 64 bits"),
        (object(), "output is an object"),
        (b"x", "output is a bytes"),
        (Text("x"), "output is a Text"),
        ({Text("x"): 1}, "output has a key that is a Text"),
        ("\ud800", "lone surrogate"),
        (looped(), "nested deeper than 100"),
        (wide_loop(), "larger than 1000 bytes"),
        ("x" * 1_000, "larger than 1000 bytes"),
        ("é" * 600, "larger than 1000 bytes"),
        ({"k" * 2_000: 1}, "larger than 1000 bytes"),
    ],
)
def test_value_that_is_not_json_is_refused_with_its_place(value: object, message: str) -> None:
    with pytest.raises(ResultRefused, match=message.replace("[", r"\[").replace("]", r"\]")):
        encode(value, max_bytes=1_000)


def test_result_at_the_limit_is_encoded() -> None:
    assert encode("x" * 998, max_bytes=1_000) == b'"' + b"x" * 998 + b'"'


def test_confidence_is_split_from_the_output() -> None:
    assert split_confidence({"output": [1], "confidence": 1}) == ([1], 1.0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"output": 1},
        {"output": 1, "confidence": 0.5, "more": 1},
        {"output": 1, "confidence": True},
        {"output": 1, "confidence": 1.01},
        {"output": 1, "confidence": math.nan},
        {"output": 1, "confidence": "0.5"},
        {1: 1, "confidence": 0.5},
    ],
)
def test_confidence_of_another_form_is_refused(value: object) -> None:
    with pytest.raises(ResultRefused):
        split_confidence(value)


def error_of(source: str) -> BaseException:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        load(source).run({})
    return raised.value


def test_hostile_str_of_an_error_is_never_called() -> None:
    error = error_of(
        "class O:\n"
        "    def __str__(self): raise RuntimeError('called')\n"
        "    def __repr__(self): raise RuntimeError('called')\n"
        "class E(Exception):\n"
        "    def __str__(self): raise RuntimeError('called')\n"
        "def run(x):\n"
        "    raise E('why', O(), 3)\n"
    )

    assert describe_error(error) == ("E", "why, <O>, 3")


def test_long_message_is_cut_and_stays_valid_text() -> None:
    name, message = describe_error(ValueError("\ud800" + "x" * 10_000_000))

    assert name == "ValueError"
    assert len(message) <= 500
    message.encode()


def test_private_names_appear_in_the_programs_own_spelling() -> None:
    error = error_of("class _E(Exception): pass\ndef run(x):\n    raise _E(x._missing)\n")

    assert describe_error(error) == ("AttributeError", "'dict' object has no attribute '_missing'")
    assert describe_error(
        error_of("class _E(Exception): pass\ndef run(x):\n    raise _E(1)\n")
    ) == ("_E", "1")
