"""Find telephone numbers: digits alone are not one, a form or a word beside them makes them one.

Pure. Used by: detection. Never: hands a whole text to the phone library, which needs 2.7 ms for
1,500 characters; patterns find the spans, the library judges them.

What counts as form: `+` and a country, `00` or `011` and a country, the North American 3-3-4, a few
other countries' groups, or a trunk zero. Bare digits count beside a word such as "phone" or "call",
or under such a key; forms without `+` do not count after "order", "invoice" and the like.
"""

import re
from collections.abc import Callable, Iterator

import phonenumbers

from edged.agent.privacy.forms import Form
from edged.agent.privacy.spans import Kind, Span, is_fraction, is_inside_digits

# Whose national numbers are known without a country code: large populations, and plans that
# differ enough for their neighbours' numbers to be valid in one of them.
_REGIONS = ("US", "GB", "DE", "FR", "IT", "AU", "IN", "JP", "NL", "CH")
_PLANS = tuple(
    (
        phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) or "",
        phonenumbers.country_code_for_region(region),
        region,
    )
    for region in _REGIONS
)
_SEPARATOR = r"(?: ?[\-./_ ] ?)"
_EXTENSION = re.compile(r"(?i)[ ,]{0,2}(?:x|ext\.?|extension) ?[0-9]{1,6}")
_WRITTEN = Form(
    r"(?:\(?\+|%2[Bb]) ?\(?[0-9][0-9 ().\-/]{5,24}[0-9]"
    r"|(?:011|00[1-9][0-9]{0,2})[ .\-][0-9][0-9 ().\-/]{6,20}[0-9]"
    rf"|\(?0[0-9]{{1,5}}\)?(?:{_SEPARATOR}?\([0-9]{{1,5}}\)|{_SEPARATOR}[0-9]{{2,8}}){{1,6}}"
    r"|0[1-9][0-9]{8,9}"
    rf"|(?:1{_SEPARATOR}?)?(?:\([0-9]{{3}}\){_SEPARATOR}?|[0-9]{{3}}{_SEPARATOR})"
    rf"[0-9]{{3}}{_SEPARATOR}[0-9]{{4}}"
)
# National forms of large countries: China, Brazil, Spain and Portugal, India, Russia.
_NATIONAL = Form(
    r"1[3-9][0-9][ \-][0-9]{4}[ \-][0-9]{4}"
    r"|(?:\([1-9][0-9]\) ?|[1-9][0-9] )9?[0-9]{4}-[0-9]{4}"
    r"|[679][0-9]{2}[ \-][0-9]{2}[ \-][0-9]{2}[ \-][0-9]{2}"
    r"|[6-9][0-9]{4}[ \-][0-9]{5}"
    r"|8[ \-]?\(?[0-9]{3}\)?[ \-][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"|(?:\+?1[ \-.])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[\-.])[2-9][0-9]{6}"
)
_DIGITS = r"\+?\(?[0-9][0-9 ().\-/]{5,18}[0-9]"
_LIST = rf"({_DIGITS}(?:(?: ?[,;/&] ?| or | and ){_DIGITS})*)"
_NAMED = Form(
    r"(?i)(?:phone|mobile|handset|whats ?app|[☎☏📞📱📲]"
    r"|(?:\b|_)(?:tel|telefono?|cell|fax|sms|mob|ph|msisdn)(?:\b|_))"
    rf"[^0-9+(\n]{{0,20}}{_LIST}"
)
_NAMED_AFTER = Form(rf"(?i)({_DIGITS}) ?\(?(?:mobile|cell|phone|tel|fax|whats ?app|voicemail)\b")
# No colon after the verbs: "text" and "message" are also keys that any text stands under.
_HINTED = Form(
    r"(?i)\b(?:(?:call|text|ring|dial|reach|message|(?:my|our|his|her|their) number)\b"
    rf"[^0-9+(\n:]{{0,20}}|contact\b[^0-9+(\n]{{0,20}}){_LIST}"
)
_LOCAL = re.compile(r"[2-9][0-9]{2}[-.][0-9]{4}")  # without area: 555-0132
_COUNTED = re.compile(  # what else is numbered
    r"(?i)(?:\b|_)(?:order|invoice|ref(?:erence)?|sku|part|tracking|case|ticket|serial|model|isbn|po"
    r"|rma|item|batch|lot|version|build|product|article|asset|booking|policy|claim|id|hash|uuid|size|zip"
    r"|postal|post ?code|plz)s?"
    r"(?:[ _\-]?(?:no|nr|num(?:ber)?|id|code|is))?[.:#= \-\"']{0,4}\Z"
)
_COUNTED_CHARS = 24
# A part of something longer: `ISBN 978-4-01-926448-0`, `AB-0825-305`; or of a row of a table.
_JOINED = re.compile(r"(?i)(?:[0-9][\-/._]|(?<!tel)(?<!phone)(?<!mobile)(?<!cell)(?<!fax)[a-z]-)\Z")
_OF_WORD = re.compile(r"(?i)(?<!tel)(?<!phone)(?<!mobile)(?<!cell)(?<!fax)[a-z]\Z")  # SN0616858810
_IN_ROW = re.compile(r"[0-9][ \t]\Z")
_ROW_GOES_ON = re.compile(r"[ \t][0-9]{3}")
_POST_CODE = re.compile(r"0[0-9]{4}-[0-9]{4}")  # United States, ZIP+4
_ONE = Form(_DIGITS)
_MOST_DIGITS = 15  # E.164
_COUNTS = range(7, 18)  # digits of a number, with an international prefix's two
_GROUP_END = re.compile(r"[0-9]\)?(?![0-9)])")
_TIME = re.compile(r"[0-9]:[0-9]{2}(?![0-9])")  # 15:41:04 -0600 is not a trunk zero
_DATE = re.compile(
    r"\(?[0-3]?\d([-./ ])[0-3]?\d\1\d{2,4}(?!\1?\d)"
    r"|(?:19|20)\d\d([-./ ]?)(?:0\d|1[0-2])\2[0-3]\d(?!\d)"
)

Judge = Callable[[str], bool]


def find_written_phones(text: str) -> Iterator[Span]:
    """Find numbers by their form."""
    plain = text.encode("ascii", "replace")  # as long as the text; nothing else is in these forms
    for form in (_WRITTEN, _NATIONAL):
        found_end = 0
        places = form.places(plain)
        while place := next(places, None):
            start, end = place
            kept = _kept(text, start, end, form) if _may_be_phone(text, *place, found_end) else 0
            if kept:
                found_end = _end_of_extension(text, end) if kept == end - start else start + kept
                yield Span(start, found_end, Kind.PHONE)
                if found_end != end:  # what the form took beyond it may be the next number
                    places = form.places(plain, begin=found_end)


def _end_of_extension(text: str, end: int) -> int:
    extension = _EXTENSION.match(text, end)
    return extension.end() if extension else end


def _may_be_phone(text: str, start: int, end: int, found_end: int) -> bool:
    """found_end: where the number before this one ends."""
    if text[max(0, start - 1) : start].isdigit() or is_fraction(text, start):
        return False
    if _TIME.match(text, max(0, start - 2)):
        return False
    written = text[start:end]
    before = text[max(found_end, start - _COUNTED_CHARS) : start]
    return written[0] in "+%(" or not _is_something_else(text, before, written, end)


def _is_something_else(text: str, before: str, written: str, end: int) -> bool:
    if _COUNTED.search(before) or _JOINED.search(before) or _POST_CODE.fullmatch(written):
        return True
    if written.isdigit() and _OF_WORD.search(before):
        return True
    is_row = _IN_ROW.search(before) or _ROW_GOES_ON.match(text, end)
    return bool(is_row and written[0] != "0" and written.replace(" ", "").isdigit())


def _kept(text: str, start: int, end: int, form: Form) -> int:
    """Return how many characters of what the form took are a number; 0: none."""
    written = text[start:end]
    if text[end : end + 1].isdigit():
        written = written.rstrip("0123456789")  # it took half of a group
        return _longest(written, _judge_of(written)) if written else 0
    return len(written) if form is _NATIONAL else _longest(written, _judge_of(written))


def find_named_phones(text: str) -> Iterator[Span]:
    """Find numbers by the word beside them; spans may overlap: "call my phone"."""
    yield from _beside(text, _NAMED, _is_possible)
    yield from _beside(text, _NAMED_AFTER, _is_possible)
    yield from _beside(text, _HINTED, _is_likely)


def _beside(text: str, words: Form, judge: Judge) -> Iterator[Span]:
    for first, last in words.places(text, 1):
        for begin, end in _ONE.places(text[first:last]):
            start = first + begin
            kept = _longest(text[start : first + end], judge)
            before = text[max(0, start - _COUNTED_CHARS) : start]
            if judge is _is_likely and _COUNTED.search(before):
                continue
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
    digits = written.lstrip("(").replace("%2B", "+").replace("%2b", "+")
    if digits.startswith("+"):
        return lambda part: _is_international(part.lower().replace("%2b", "+"))
    if digits.startswith(("011 ", "011-", "011.")):
        return lambda part: _is_international("+" + part[3:])
    if digits.startswith("00"):
        return lambda part: _is_international("+" + part.lstrip("(")[2:])
    if digits.startswith("0"):
        return _is_domestic
    # Three, three and four digits with separators are a telephone number whatever the area code:
    # people write 555-123-4567 and 123-456-7890, which no exchange has.
    return lambda part: _count_digits(part) >= 10


def _digits(written: str) -> str:
    return "".join(filter(str.isdigit, written))


def _count_digits(written: str) -> int:
    return len(_digits(written))


def _is_international(written: str) -> bool:
    """Of the country it names, with its area: `+1000000` counts something."""
    if "(" in written and _count_digits(written) in range(9, 16):
        return True
    if any(map(_is_whole, _splits(_digits(written)))):
        return True
    try:
        return _is_whole(phonenumbers.parse(written, None))
    except phonenumbers.NumberParseException:
        return False


def _splits(digits: str) -> Iterator[phonenumbers.PhoneNumber]:
    """Yield country and number as they stand: parsing looks for more, and takes .05 ms."""
    for size in (1, 2, 3):
        country = int(digits[:size])
        if country in phonenumbers.COUNTRY_CODE_TO_REGION_CODE and len(digits) > size:
            yield phonenumbers.PhoneNumber(country, int(digits[size:]))


def _is_whole(number: phonenumbers.PhoneNumber) -> bool:
    length = phonenumbers.is_possible_number_with_reason(number)
    return length == phonenumbers.ValidationResult.IS_POSSIBLE


def _is_domestic(written: str) -> bool:
    """Given out somewhere; or as long and written like one, as in films and examples."""
    is_grouped = not written.isdigit() and _count_digits(written) in (10, 11)
    return is_grouped or _is_valid(written)


def _is_possible(written: str) -> bool:
    """Length alone; the word beside it says the rest."""
    digits = _digits(written)
    return len(digits) <= _MOST_DIGITS or digits.startswith(("00", "011"))


def _is_likely(written: str) -> bool:
    """Shorter numbers are valid somewhere; beside "text" or "call" they are prices and dates."""
    return (_count_digits(written) >= 9 and _is_valid(written)) or bool(_LOCAL.fullmatch(written))


def _is_valid(written: str) -> bool:
    """Some country gives out such numbers, called from within it."""
    digits = _digits(written)
    return any(
        _is_given_out(digits.removeprefix(trunk), country, region)
        for trunk, country, region in _PLANS
    )


def _is_given_out(digits: str, country: int, region: str) -> bool:
    zeros = len(digits) - len(digits.lstrip("0"))
    number = phonenumbers.PhoneNumber(country, int(digits or "0"), None, zeros > 0, zeros or None)
    return bool(phonenumbers.is_valid_number_for_region(number, region))
