"""Find international bank account numbers by country, length and sum.

Pure. Used by: detection. Never: takes letters and digits for an IBAN whose sum is wrong.
"""

import re
from collections.abc import Iterator
from functools import cache

import re2
from stdnum import numdb
from stdnum.iso7064 import mod_97_10

from edged.agent.privacy.spans import Kind, Span

_HEAD = re2.compile(
    r"[A-Za-z]{2}[0-9]{2}|[A-Za-z]{2}[ .\-_/][0-9]{2}|[A-Za-z] [A-Za-z] [0-9] [0-9] "
)
_COMPACT_HEAD_CHARS = 4
_MAX_CHARS = 34
_SEPARATORS = frozenset(" .-_/\t\r\n")
_MAX_SEPARATORS = 3  # in one place
_FIELD = re.compile(r"(\d+)!([nac])")
_CLASSES = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}


def find_ibans(text: str) -> Iterator[Span]:
    for match in _HEAD.finditer(text):
        start = match.start()
        size, shape = _country("".join(filter(str.isalpha, match.group())).upper())
        end = _end_of_characters(text, start, size) if size else 0
        if not end or not _has_right_sum(plain := _plain(text[start:end])):
            continue
        # "at 10 …" begins like one too: what is not written in one piece needs its country's form.
        is_compact = match.end() - start == _COMPACT_HEAD_CHARS
        is_alone = not text[end : end + 1].isalnum()
        if (is_compact and is_alone) or shape.fullmatch(plain[4:]):
            yield Span(start, end, Kind.IBAN)


def _plain(written: str) -> str:
    return "".join(filter(str.isalnum, written)).upper()


def _has_right_sum(plain: str) -> bool:
    # Without the countries' own check digits: a number made up with the right sum is still
    # somebody's, as far as we can know.
    return bool(mod_97_10.is_valid(plain[4:] + plain[:4]))


@cache
def _country(code: str) -> tuple[int, re.Pattern[str]]:
    """Return the size of that country's IBANs and the form after their check digits; 0: none.

    Source: the IBAN registry.
    """
    _, properties = numdb.get("iban").info(code)[0]
    fields = _FIELD.findall(properties.get("bban", ""))
    shape = "".join(f"{_CLASSES[letter]}{{{size}}}" for size, letter in fields)
    return (4 + sum(int(size) for size, _ in fields) if fields else 0), re.compile(shape)


def _end_of_characters(text: str, start: int, size: int) -> int:
    """Return the end of `size` letters and digits with few separators between two; 0: none."""
    counted = separators = 0
    for place in range(start, len(text)):
        character = text[place]
        if character.isascii() and character.isalnum():
            counted, separators = counted + 1, 0
        elif character in _SEPARATORS and separators < _MAX_SEPARATORS:
            separators += 1
        else:
            return 0
        if counted == size:
            return place + 1
    return 0
