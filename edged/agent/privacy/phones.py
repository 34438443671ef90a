"""Find telephone numbers: digits alone are not one, a form or a word beside them makes them one.

Pure. Used by: detection. Never: hands a whole text to the phone library, which needs 2.7 ms for
1,500 characters; patterns find the spans, the library judges them.

What counts as form: `+` and a country, `00` and a country, the North American 3-3-4, or a trunk
zero with separators. Bare digits count after a word such as "phone" or "call", or under such a key.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import phonenumbers
import re2

from edged.agent.privacy.spans import Kind, Span, is_fraction, is_inside_digits

# Whose national numbers are known without a country code: large populations, and plans that
# differ enough for their neighbours' numbers to be valid in one of them.
_REGIONS = ("US", "GB", "DE", "FR", "IT", "AU", "IN", "JP", "NL", "CH")
_SEPARATOR = r"(?: ?[\-./ ] ?)"
_EXTENSION = r"(?:[ ,]{0,2}(?:x|ext\.?|extension) ?[0-9]{1,6})?"
_WRITTEN = re2.compile(
    r"(?i)("
    r"\+ ?\(?[0-9][0-9 ().\-/]{5,24}[0-9]"
    rf"|\(?0[0-9]{{1,5}}\)?(?:{_SEPARATOR}?\([0-9]{{1,5}}\)|{_SEPARATOR}[0-9]{{2,8}}){{1,6}}"
    rf"|(?:1{_SEPARATOR}?)?(?:\([0-9]{{3}}\){_SEPARATOR}?|[0-9]{{3}}{_SEPARATOR})"
    rf"[0-9]{{3}}{_SEPARATOR}[0-9]{{4}}"
    rf"){_EXTENSION}"
)
_DIGITS = r"\+?\(?[0-9][0-9 ().\-/]{5,18}[0-9]"
_LIST = rf"({_DIGITS}(?:(?: ?[,;/&] ?| or | and ){_DIGITS})*)"
_NAMED = re2.compile(
    r"(?i)(?:phone|mobile|handset|whats ?app|(?:\b|_)(?:tel|cell|fax|sms|mob|ph|msisdn)(?:\b|_))"
    rf"[^0-9+(\n]{{0,20}}{_LIST}"
)
_HINTED = re2.compile(
    r"(?i)\b(?:call|text|ring|dial|reach|contact|message|(?:my|our|his|her|their) number)\b"
    rf"[^0-9+(\n]{{0,20}}{_LIST}"
)
_ONE = re2.compile(_DIGITS)
_COUNTS = range(7, 18)  # digits of a number: E.164 allows 15, an international prefix adds two
_GROUP_END = re.compile(r"[0-9]\)?(?![0-9)])")
_TIME = re.compile(r"[0-9]:[0-9]{2}(?![0-9])")  # 15:41:04 -0600 is not a trunk zero
_DATE = re.compile(
    r"\(?\d{1,2}([-./ ])\d{1,2}\1\d{2,4}(?!\d)|(?:19|20)\d\d([-./ ]?)(?:0\d|1[0-2])\2[0-3]\d(?!\d)"
)

Judge = Callable[[str], bool]


def find_written_phones(text: str) -> Iterator[Span]:
    """Find numbers by their form."""
    for match in _WRITTEN.finditer(text):
        start, end = match.span(1)
        is_part = is_inside_digits(text, start, match.end()) or is_fraction(text, start)
        if is_part or _TIME.match(text, max(0, start - 2)):
            continue
        kept = _longest(match.group(1), _judge_of(match.group(1)))
        if kept:
            is_whole = kept == end - start
            yield Span(start, match.end() if is_whole else start + kept, Kind.PHONE)


def find_named_phones(text: str) -> Iterator[Span]:
    """Find numbers by the word before them; spans may overlap: "call my phone"."""
    yield from _beside(text, _NAMED, _is_possible)
    yield from _beside(text, _HINTED, _is_likely)


def _beside(text: str, words: Any, judge: Judge) -> Iterator[Span]:
    for match in words.finditer(text):
        for one in _ONE.finditer(match.group(1)):
            start = match.start(1) + one.start()
            kept = _longest(one.group(), judge)
            if kept and not is_inside_digits(text, start, start + kept):
                yield Span(start, start + kept, Kind.PHONE)


def _longest(written: str, judge: Judge) -> int:
    """Return how many characters, in whole groups of digits, are a number; 0: none.

    The next number or an amount may have joined the span: `020 7946 0958 25`.
    """
    if _DATE.match(written):
        return 0
    parts = (written[: match.end()] for match in _GROUP_END.finditer(written))
    likely = [part for part in parts if _count_digits(part) in _COUNTS]
    return next((len(part) for part in reversed(likely) if judge(part)), 0)


def _judge_of(written: str) -> Judge:
    digits = written.lstrip("(")
    if digits.startswith("+"):
        return _is_international
    if digits.startswith("00"):
        return lambda part: _is_international("+" + part.lstrip("(")[2:])
    if digits.startswith("0"):
        return _is_valid
    # Three, three and four digits with separators are a telephone number whatever the area code:
    # people write 555-123-4567 and 123-456-7890, which no exchange has.
    return lambda part: _count_digits(part) >= 10


def _count_digits(written: str) -> int:
    return sum(map(str.isdigit, written))


def _is_international(written: str) -> bool:
    """Of the country it names, with its area: `+1000000` counts something."""
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        return False
    length = phonenumbers.is_possible_number_with_reason(number)
    return length == phonenumbers.ValidationResult.IS_POSSIBLE


def _is_possible(written: str) -> bool:
    """Length alone; the word beside it says the rest."""
    return any(_has_length(written, region) for region in _REGIONS)


def _is_likely(written: str) -> bool:
    """Shorter numbers are valid somewhere; beside "text" or "call" they are prices and dates."""
    return _count_digits(written) >= 9 and _is_valid(written)


def _is_valid(written: str) -> bool:
    """Some country gives out such numbers."""
    return any(_is_assignable(written, region) for region in _REGIONS)


def _has_length(written: str, region: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False


def _is_assignable(written: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False
