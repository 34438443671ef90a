"""Find United States social security and taxpayer numbers.

Pure. Used by: detection. Never: takes nine bare digits for one without a word beside them.
"""

import re
from collections.abc import Iterator

from edged.agent.privacy.forms import Form
from edged.agent.privacy.spans import Kind, Span, is_inside_digits

_SEPARATED = Form(r"[0-9]{3} ?[ .\-_/] ?[0-9]{2} ?[ .\-_/] ?[0-9]{4}")
# May be mixed: no decimal point, no sign of a number is among them.
_LIKE_SEPARATORS = {" ", "-", " - "}
_PARTS = re.compile(r"([0-9]+)([^0-9]+)([0-9]+)([^0-9]+)([0-9]+)")
_NUMBER = r"\(?[0-9]{3}\)?(?: ?[ .\-_/] ?)?[0-9]{2}[ .\-_/]?[0-9](?:[ .\-_/]?[0-9]){3}"
_NAME = (
    r"(?:ssns?|ss ?#|ss[ _]?no|soc(?:ial|\.)?[ _\-]?(?:sec(?:urity|\.)?|ins(?:urance)?)"
    r"|tax(?:payer)?[ _\-]?(?:id|ident)\w*|i?tin|social(?: (?:is|no|num(?:ber)?)|[:#=]))"
)
# Beside their name nine digits are one, however they are grouped. Zeros in front get lost in JSON.
_NAMED = Form(rf"(?i)(?:\b|_){_NAME}[^0-9\n(]{{0,24}}({_NUMBER}|[0-9]{{7,8}})")
_NAMED_AFTER = Form(rf"(?i)({_NUMBER})[^0-9\n]{{0,16}}(?:\b|_){_NAME}")
_TAXPAYER_GROUPS = (*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100))


def find_ssns(text: str) -> Iterator[Span]:
    for start, end in _SEPARATED.places(text):
        area, before, group, after, serial = _PARTS.findall(text[start:end])[0]
        is_alone = not is_inside_digits(text, start, end)
        is_even = before == after or {before, after} <= _LIKE_SEPARATORS
        if is_alone and is_even and _is_issued(area + group + serial):
            yield Span(start, end, Kind.SSN)
    for form in (_NAMED, _NAMED_AFTER):
        for start, end in form.places(text, 1):
            if not is_inside_digits(text, start, end) and _may_be_one(text[start:end]):
                yield Span(start, end, Kind.SSN)


def _may_be_one(written: str) -> bool:
    digits = "".join(filter(str.isdigit, written))
    return len(digits) == 9 or _is_issued(digits.zfill(9))


def _is_issued(digits: str) -> bool:
    """Say whether such numbers are given out; also the ones known from advertising.

    Source: the Social Security Administration's and the Internal Revenue Service's rules.
    """
    area, group, serial = int(digits[:3]), int(digits[3:5]), int(digits[5:])
    if not area or area == 666 or not group or not serial:
        return False
    return area < 900 or group in _TAXPAYER_GROUPS
