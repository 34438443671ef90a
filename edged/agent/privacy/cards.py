"""Find numbers of payment cards by their issuers' ranges, lengths and check digits.

Pure. Used by: detection. Never: takes digits for a card whose rules they break.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

from stdnum import luhn

from edged.agent.privacy.forms import Form
from edged.agent.privacy.spans import Kind, Span, is_fraction

_CARD_DIGITS = range(12, 20)
_SHORT_DIGITS = range(12, 14)  # old ones; among other numbers they would be found by chance
_DIGITS = Form(r"[0-9](?:[\s.\-_/]{0,3}[0-9]){11,}")
# Signs that also separate numbers of a list: only four groups of four, and no fifth beside them.
_LISTED = Form(r"[0-9]{4}(?: ?[,:;|*+~\\#] ?[0-9]{4}){3}")
_LIST_GOES_ON = re.compile(r" ?[,:;|*+~\\#]? ?[0-9]")
_LIST_CAME_BEFORE = re.compile(r"[0-9] ?[,:;|*+~\\#]? ?\Z")
_MOST_GROUPS = 6  # of three digits and more: a card in four, its end, its code
_GROUP = re.compile(r"[0-9]+")
_FIRST_DIGITS = frozenset("012345689")
# Number ranges and lengths by issuer: ISO/IEC 7812 as the networks publish them.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-59]|[689]\d)\d{11,16}"  # Diners Club
    r"|35\d{14,17}|(?:2131|1800)\d{11}"  # JCB
    r"|6\d{15,18}|8[12]\d{14}"  # Discover, UnionPay, RuPay
    r"|220[0-4]\d{12,15}|9792\d{12}"  # Mir, Troy
    r"|(?:50|5[6-8])\d{10,17}|(?:0604|6304|6390|67\d\d)\d{8,15}"  # Maestro
)
_NAMED = re.compile(
    r"(?i)(?:card|visa|master|maestro|amex|american express|discover|\bcc|\bpan\b)[^0-9\n]{0,24}\Z"
)
_NAME_CHARS = 48
_GOODS = re.compile(r"(?i)(?:\b|_)(?:ean|gtin|upc|isbn|barcode)(?:[ _-]?1[23])?[^0-9\n]{0,8}\Z")

Groups = list[tuple[int, int]]  # where each group of digits starts and ends


@dataclass(frozen=True, slots=True)
class _Row:
    """Groups that stand equally far apart: groups[begin:end]. long: how many have three digits."""

    begin: int
    end: int
    long: int


class _Run:
    """Digits in groups, with what separates each from the next."""

    def __init__(self, text: str, groups: Groups) -> None:
        self.text = text
        self.groups = groups
        self.separators = [text[end:start] for (_, end), (start, _) in pairwise(groups)]

    @cached_property
    def rows(self) -> list[_Row]:
        """By separator, the row it is in; found once, for all of a text may be one row."""
        rows: list[_Row] = []
        for _, equal in groupby(self.separators):
            begin, size = len(rows), len(list(equal))
            long = sum(end - start > 2 for start, end in self.groups[begin : begin + size + 1])
            rows += [_Row(begin, begin + size + 1, long)] * size
        return rows


def find_cards(text: str) -> Iterator[Span]:
    """A card fills whole groups of digits: `12 4111 1111 1111 1111` holds one, from its `4` on."""
    for place in _DIGITS.places(text):
        groups = [match.span() for match in _GROUP.finditer(text, *place)]
        if _is_one_card(text, groups):
            yield Span(groups[0][0], groups[-1][1], Kind.CARD)
        else:
            yield from _cards_among(_Run(text, groups))
    for start, end in _LISTED.places(text):
        if _is_alone(text, start, end) and _is_card(_digits(text[start:end])):
            yield Span(start, end, Kind.CARD)


def _cards_among(run: _Run) -> Iterator[Span]:
    next_free, last_size = 0, 0
    for index, (start, end) in enumerate(run.groups):
        size, is_dictation_going_on = end - start, last_size == 1
        last_size = size
        if index < next_free or not _may_start_card(run.text, start):
            continue
        if size >= 4 or (size == 1 and not is_dictation_going_on):
            after = _after_card(run, index)
            if after and not _is_by_chance(run, index, after, next_free):
                next_free = after
                yield Span(start, run.groups[after - 1][1], Kind.CARD)


def _is_by_chance(run: _Run, first: int, after: int, next_free: int) -> bool:
    """Say whether this is a part of a long row of numbers, which hold cards by chance.

    There a card stands beside its name, right behind another card, or at the row's begin or end
    with another kind of group beside it.
    """
    if after - first == 1:
        return False
    row, groups = run.rows[first], run.groups
    if row.long <= _MOST_GROUPS or (first == next_free and after == row.end):
        return False
    before, behind = groups[first - 1 : first], groups[after : after + 1]
    is_begin = first in (row.begin, next_free)
    is_first = is_begin and not any(stop - start == 4 for start, stop in behind)
    is_last = after == row.end and not any(stop - start == 4 for start, stop in before)
    return not (is_first or is_last or _is_named(run.text, groups[first][0]))


def _is_one_card(text: str, groups: Groups) -> bool:
    """Say whether all groups are one card, in equal groups of any size or beside its name."""
    sizes = [end - start for start, end in groups]
    is_even = len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]
    start, end = groups[0][0], groups[-1][1]
    is_telling = is_even or _is_named(text, start)
    return is_telling and _may_start_card(text, start) and _is_card(_digits(text[start:end]))


def _is_named(text: str, start: int) -> bool:
    return _NAMED.search(text[max(0, start - _NAME_CHARS) : start]) is not None


def _may_start_card(text: str, start: int) -> bool:
    if text[start] not in _FIRST_DIGITS or is_fraction(text, start):
        return False
    before = text[max(0, start - _NAME_CHARS) : start]
    return not before.endswith("+") and not _GOODS.search(before)


def _after_card(run: _Run, first: int) -> int:
    """Return the group after the longest card that starts with group `first`; 0: there is none.

    It is written in groups from four digits on, or dictated digit by digit. Tables and dumps are
    full of groups of two and three, and one in thirty of those would be a card.
    """
    digits, found = "", 0
    is_dictated = run.groups[first][1] - run.groups[first][0] == 1
    for last in range(first, min(len(run.groups), first + _CARD_DIGITS.stop)):
        start, end = run.groups[last]
        is_uneven = last > first and run.separators[last - 1] != run.separators[first]
        size = len(digits) + end - start
        if is_uneven or size >= _CARD_DIGITS.stop or (is_dictated and end - start > 1):
            break
        digits += run.text[start:end]
        is_long = size not in _SHORT_DIGITS
        if _is_card(digits) and (is_long or _is_lonely(run, first, last + 1)):
            found = last + 1
    return found


def _is_lonely(run: _Run, first: int, after: int) -> bool:
    """Say whether no long group stands beside these: `1234 5678 9012 3456` is not half a card."""
    if after - first == 1:
        return True
    row = run.rows[first]
    beside = run.groups[max(row.begin, first - 1) : first]
    beside += run.groups[after : min(row.end, after + 1)]
    return all(stop - start < 3 for start, stop in beside)


def _is_alone(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 4) : start]
    return not _LIST_GOES_ON.match(text, end) and not _LIST_CAME_BEFORE.search(before)


def _digits(written: str) -> str:
    return "".join(filter(str.isdigit, written))


def _is_card(digits: str) -> bool:
    return bool(_ISSUED.fullmatch(digits) and luhn.is_valid(digits))
