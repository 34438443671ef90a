"""What a program sees in an input: the very functions that are copied into every program.

A trained weight means something only if the program reads an input exactly as training did.
So there is one text of these functions: training calls them here, and `source.py` copies them,
word for word, into `program.py`. They therefore keep to what programs may use: the standard
library's `re`, no names with a leading underscore, nothing that depends on the hash seed.

Runs in: jobs, and as a copy inside programs. Talks to: nothing. Never: imports beyond `re`.
"""

import re
from collections.abc import Callable
from typing import Any

MAX_CHARACTERS = 8_000  # of one text; more adds time, and on long e-mails no accuracy
WORD = re.compile(r"https?://\S+|www\.\S+|[^\W_]+(?:'[^\W_]+)*|[^\w\s]")
LINK = ("http://", "https://", "www.")
NUMBER = re.compile(r"\d+")
MONEY = re.compile(r"[$£€]\s?\d")


def words_of(text: str) -> list[str]:
    """Return the words in order; a link reads @link and a number of five digits #5."""
    return [
        f"#{len(word)}" if word.isdigit() else "@link" if word.startswith(LINK) else word
        for word in WORD.findall(text.lower())
    ]


def shape_of(text: str) -> list[str]:
    """Return traits of the text as a whole: length, shouting, money, digits and the numbers."""
    shouted = sum([1 for word in text.split() if len(word) > 1 and word.isupper()])
    numbers = NUMBER.findall(text)
    return [
        f"@length {len(text).bit_length()}",
        f"@shouted {min(shouted, 5)}",
        f"@digits {sum(map(len, numbers)).bit_length()}",
        "@money" if MONEY.search(text) else "@no money",
        *[f"={number}" for number in numbers],
    ]


def word_features(text: str) -> set[str]:
    """Return words, their beginnings (refu-), neighbouring pairs, and shape."""
    text = text[:MAX_CHARACTERS]
    words = words_of(text)
    beginnings = [f"{word[:4]}-" for word in words if len(word) > 4]
    pairs = zip(["@start", *words], [*words, "@end"], strict=True)
    return {
        *words,
        *beginnings,
        *[f"{first} {second}" for first, second in pairs],
        *shape_of(text),
    }


def word_and_character_features(text: str) -> set[str]:
    """Return words, pairs, shape, and every run of four and five characters."""
    line = f" {' '.join(words_of(text[:MAX_CHARACTERS]))} "
    fours = [line[start : start + 4] for start in range(len(line) - 3)]
    fives = [line[start : start + 5] for start in range(len(line) - 4)]
    return {*word_features(text), *fours, *fives}


def value_features(value: Any, of_text: Callable[[str], set[str]]) -> set[str]:
    """Return a text's features; of a number the number itself, its sign and its magnitude."""
    if isinstance(value, str):
        return of_text(value)
    if isinstance(value, bool):
        return {f"is {value}"}
    if isinstance(value, (int, float)) and abs(value) < 1e300:
        sign = "-" if value < 0 else "+"
        return {f"is {value}", f"about {sign}{int(abs(value)).bit_length()}"}
    return set()


def features_of(
    input_data: Any, fields: tuple[tuple[str, str], ...], of_text: Callable[[str], set[str]]
) -> set[str]:
    """Return the features of all fields, each led by its field's prefix.

    fields: (name, prefix) pairs; an input that is one text has the field "". A missing field is
    empty and an unknown one is ignored.
    """
    if isinstance(input_data, str):
        input_data = {"": input_data}
    elif not isinstance(input_data, dict):
        input_data = {}
    return {
        prefix + feature
        for name, prefix in fields
        for feature in value_features(input_data.get(name), of_text)
    }
