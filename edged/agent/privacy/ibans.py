"""Find international bank account numbers by country, length and sum.

Pure. Used by: detection. Never: takes letters and digits for an IBAN whose sum is wrong.
"""

import re
from collections.abc import Iterator
from functools import cache
from string import ascii_uppercase, digits

from stdnum import numdb

from edged.agent.privacy.forms import Form
from edged.agent.privacy.spans import Kind, Span

_HEAD = Form(r"[A-Za-z]{2}[ .\-_/]?[0-9]{2}|[A-Za-z] [A-Za-z] [0-9] [0-9] ")
_COMPACT_HEAD_CHARS = 4
_SEPARATORS = r"[ .\-_/\t\r\n]{0,3}"  # in one place
_VALUES = {character: str(int(character, 36)) for character in digits + ascii_uppercase}
_FIELD = re.compile(r"(\d+)!([nac])")
_CLASSES = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}


def find_ibans(text: str) -> Iterator[Span]:
    for start, head_end in _HEAD.places(text):
        written, shape = _country(_plain(text[start:head_end])[:2])
        match = written.match(text, start) if written else None
        if match is None or not _has_right_sum(plain := _plain(match.group())):
            continue
        # "at 10 …" begins like one too: what is not written in one piece needs its country's form.
        is_compact = head_end - start == _COMPACT_HEAD_CHARS
        is_alone = not text[match.end() : match.end() + 1].isalnum()
        if (is_compact and is_alone) or shape.fullmatch(plain[4:]):
            yield Span(*match.span(), Kind.IBAN)


def _plain(written: str) -> str:
    return "".join(filter(str.isalnum, written)).upper()


def _has_right_sum(plain: str) -> bool:
    # Without the countries' own check digits: a number made up with the right sum is still
    # somebody's, as far as we can know.
    turned = plain[4:] + plain[:4]
    return int("".join(_VALUES[character] for character in turned)) % 97 == 1  # ISO/IEC 7064


@cache
def _country(code: str) -> tuple[re.Pattern[str] | None, re.Pattern[str]]:
    """Return how that country's IBANs are written (None: it has none), and what follows the sum.

    Source: the IBAN registry.
    """
    _, properties = numdb.get("iban").info(code)[0]
    fields = _FIELD.findall(properties.get("bban", ""))
    shape = "".join(f"{_CLASSES[letter]}{{{size}}}" for size, letter in fields)
    rest = 3 + sum(int(size) for size, _ in fields)
    written = re.compile(f"[0-9A-Za-z](?:{_SEPARATORS}[0-9A-Za-z]){{{rest}}}") if fields else None
    return written, re.compile(shape)
