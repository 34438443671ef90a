"""Make look-alike characters plain before detection: full-width digits, odd dashes, JSON's escapes.

Pure. Never: changes what is released; only the places that were found count.

A number copied from a web page has no-break spaces and en dashes, one typed in Tokyo has full-width
digits, and a zero-width space hides an address from every pattern. Characters are folded one to
one, so that places stay; invisible ones and marks are left out, and the places are mapped back.
JSON in a string has escapes in their place: backslashes, one or three or more, and `u00a0`.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from edged.agent.privacy.spans import Span

_INVISIBLE = "\x7f"
_LEFT_OUT = frozenset({"Cf", "Mn", "Me"})  # formats, and marks above or around a character
_BY_CATEGORY = {"Zs": " ", "Zl": " ", "Zp": " ", "Pd": "-", "Pc": "_"}
# Used as a dash, a dot, a slash or a colon by people and programs, and something else to Unicode:
# the minus sign, the Japanese long vowel in telephone numbers, box drawings, bullets.
_LOOK_ALIKES = {
    **dict.fromkeys("\u2212\u2043\u02d7\u30fc\uff70\u2500\u2501", "-"),
    **dict.fromkeys("\u3002\uff61\u00b7\u2022\u2219\u2027\u30fb\uff65\u22c5", "."),
    **dict.fromkeys("\u2044\u2215\u29f8", "/"),
    **dict.fromkeys("\u2236\ua789\u02d0", ":"),
}
# The backslashes of one place together: each tried alone takes time by the square of their number.
_HALF = r"u([Dd][{}][0-9A-Fa-f]{{2}})"
_ESCAPE = re.compile(
    rf"(?<!\\)\\++(?:{_HALF.format('89ABab')}\\++{_HALF.format('C-Fc-f')}"
    r"|u([0-9A-Fa-f]{4})|([\"/nrt]))"
)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_HANGUL_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters without a shape


class _Table(dict[int, str]):
    """Filled as characters are met: a full table would take 0.6 s to build."""

    def __missing__(self, codepoint: int) -> str:
        folded = self[codepoint] = _fold_character(chr(codepoint))
        return folded


_TABLE = _Table()


@dataclass(frozen=True, slots=True)
class Folded:
    """places[i] is where text[i] stood in the original; None: at i."""

    text: str
    places: list[int] | None = None
    size: int = 0  # of the original

    def restore(self, spans: Iterable[Span]) -> list[Span]:
        """Return the spans as places of the original text, with their last one's marks."""
        if self.places is None:
            return list(spans)
        at = [*self.places, self.size]
        return [Span(at[span.start], at[span.end], span.kind) for span in spans]


def fold(text: str) -> Folded:
    if text.isascii() and _INVISIBLE not in text and "\\" not in text:
        return Folded(text)
    plain = _ESCAPE.sub(_unescaped, text).translate(_TABLE)
    if _INVISIBLE not in plain:
        return Folded(plain)
    places = [place for place, character in enumerate(plain) if character != _INVISIBLE]
    return Folded(plain.replace(_INVISIBLE, ""), places, len(text))


def _unescaped(escape: re.Match[str]) -> str:
    """Return the character, and for what else it is written with as many that are left out."""
    high, low, code, sign = escape.groups("")
    units = bytes.fromhex(high + low + code)
    character = units.decode("utf-16-be", "replace") if units else _ESCAPED.get(sign, sign)
    return character.ljust(len(escape[0]), _INVISIBLE)


def _fold_character(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    category = unicodedata.category(character)
    if digit is not None:
        return str(digit)
    if category in _LEFT_OUT or character in _HANGUL_FILLERS:
        return _INVISIBLE
    if category in _BY_CATEGORY:
        return _BY_CATEGORY[category]
    if character in _LOOK_ALIKES:
        return _LOOK_ALIKES[character]
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 and plain.isascii() else character
