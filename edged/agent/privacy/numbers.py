"""Find payment cards, IBANs and United States social security numbers by their check rules.

Pure. Used by: detection. Never: takes digits for a number of these kinds whose rules they break.
"""

import re
from collections.abc import Iterator
from functools import cache

import re2
from stdnum import luhn, numdb
from stdnum.iso7064 import mod_97_10
from stdnum.us import ssn

from edged.agent.privacy.spans import Kind, Span, is_fraction, is_inside_digits

_CARD_DIGITS = range(12, 20)
_DIGITS = re2.compile(r"[0-9](?:[\s.\-_/]{0,3}[0-9]){11,}")
_GROUP = re.compile(r"[0-9]+")
_FIRST_DIGITS = frozenset("1234568")
# Number ranges and lengths by issuer: ISO/IEC 7812 as the networks publish them.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-59]|[689]\d)\d{11,16}"  # Diners Club
    r"|(?:352[89]|35[3-8]\d)\d{12,15}|(?:2131|1800)\d{11}"  # JCB
    r"|6\d{15,18}|8[12]\d{14}"  # Discover, UnionPay, RuPay
    r"|220[0-4]\d{12,15}"  # Mir
    r"|(?:50|5[6-8])\d{10,17}|(?:6304|6390|67\d\d)\d{8,11}"  # Maestro
)
_IBAN_HEAD = re2.compile(r"[A-Za-z]{2}[0-9]{2}")
_IBAN_MAX_CHARS = 34
_SIZES = re.compile(r"(\d+)!")
_SSN = re2.compile(r"[0-9]{3}([ .\-])[0-9]{2}([ .\-])[0-9]{4}")
# Nine digits alone are anything; beside their name they are not. Zeros in front get lost in JSON.
_SSN_NAMED = re2.compile(
    r"(?i)(?:\b|_)(?:ssn|social[ _\-]?sec(?:urity)?)[^0-9\n]{0,24}"
    r"([0-9]{3}[ .\-]?[0-9]{2}[ .\-]?[0-9]{4}|[0-9]{7,8})"
)


def find_cards(text: str) -> Iterator[Span]:
    """A card fills whole groups of digits: `12 4111 1111 1111 1111` holds one, from its `4` on."""
    for run in _DIGITS.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, run.start(), run.end())]
        taken_until, last_size = 0, 0
        for index, (start, end) in enumerate(groups):
            size, is_dictation_going_on = end - start, last_size == 1
            last_size = size
            if start < taken_until or not _may_start_card(text, start):
                continue
            if size >= 4 or (size == 1 and not is_dictation_going_on):
                taken_until = _card_end(text, groups[index : index + _CARD_DIGITS.stop])
                if taken_until:
                    yield Span(start, taken_until, Kind.CARD)


def find_ibans(text: str) -> Iterator[Span]:
    for match in _IBAN_HEAD.finditer(text):
        size = _iban_size(match.group()[:2].upper())
        if not size:
            continue
        end = _end_of_characters(text, match.start(), size)
        is_alone = end > 0 and not text[end : end + 1].isalnum()
        if is_alone and _is_iban(text[match.start() : end]):
            yield Span(match.start(), end, Kind.IBAN)


def find_ssns(text: str) -> Iterator[Span]:
    for match in _SSN.finditer(text):
        digits = match.group().replace(match.group(1), "-")
        is_alone = not is_inside_digits(text, *match.span())
        if is_alone and match.group(1) == match.group(2) and ssn.is_valid(digits):
            yield Span(match.start(), match.end(), Kind.SSN)
    for match in _SSN_NAMED.finditer(text):
        is_alone = not is_inside_digits(text, *match.span(1))
        digits = "".join(filter(str.isdigit, match.group(1)))
        if is_alone and ssn.is_valid(digits.zfill(9)):
            yield Span(match.start(1), match.end(1), Kind.SSN)


def _may_start_card(text: str, start: int) -> bool:
    return text[start] in _FIRST_DIGITS and not (
        is_fraction(text, start) or text[start - 1 : start] == "+"
    )


def _card_end(text: str, groups: list[tuple[int, int]]) -> int:
    """Return where the longest card that starts with the first group ends; 0: there is none.

    It is written in groups from four digits on, or dictated digit by digit. Tables and dumps are
    full of groups of two and three, and one in thirty of those would be a card.
    """
    digits, found = "", 0
    is_dictated = groups[0][1] - groups[0][0] == 1
    for start, end in groups:
        digits += text[start:end]
        if len(digits) >= _CARD_DIGITS.stop or (is_dictated and end - start > 1):
            break
        if len(digits) in _CARD_DIGITS and _is_card(digits):
            found = end
    return found


def _is_card(digits: str) -> bool:
    return bool(_ISSUED.fullmatch(digits) and luhn.is_valid(digits))


def _is_iban(written: str) -> bool:
    # Without the countries' own check digits: a number made up with the right sum is still
    # somebody's, as far as we can know.
    plain = "".join(filter(str.isalnum, written)).upper()
    return bool(mod_97_10.is_valid(plain[4:] + plain[:4]))


@cache
def _iban_size(country: str) -> int:
    """Return the characters of that country's IBANs; 0: it has none. Source: the IBAN registry."""
    _, properties = numdb.get("iban").info(country)[0]
    sizes = [int(size) for size in _SIZES.findall(properties.get("bban", ""))]
    return 4 + sum(sizes) if sizes else 0


def _end_of_characters(text: str, start: int, size: int) -> int:
    """Return the end of `size` letters and digits with at most one separator between two."""
    counted, is_after_separator = 0, False
    for place in range(start, min(len(text), start + 2 * _IBAN_MAX_CHARS)):
        character = text[place]
        if character.isascii() and character.isalnum():
            counted, is_after_separator = counted + 1, False
        elif character in " .-" and not is_after_separator:
            is_after_separator = True
        else:
            return 0
        if counted == size:
            return place + 1
    return 0
