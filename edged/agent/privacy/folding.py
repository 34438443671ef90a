"""Make look-alike characters plain before detection: full-width digits, odd dashes and spaces.

Pure. Never: changes what is released; only the places that were found count.

A number copied from a web page has no-break spaces and en dashes, one typed in Tokyo has full-width
digits, and a zero-width space hides an address from every pattern. Characters are folded one to
one, so that places stay; invisible ones are left out, and the places are mapped back.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from edged.agent.privacy.spans import Span

_INVISIBLE = "\x7f"
_MINUS = "\N{MINUS SIGN}"  # a mathematical symbol to Unicode, a dash to whoever typed it


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

    def restore(self, spans: Iterable[Span]) -> list[Span]:
        """Return the spans as places of the original text."""
        if self.places is None:
            return list(spans)
        at = self.places
        return [Span(at[span.start], at[span.end - 1] + 1, span.kind) for span in spans]


def fold(text: str) -> Folded:
    if text.isascii() and _INVISIBLE not in text:
        return Folded(text)
    plain = text.translate(_TABLE)
    if _INVISIBLE not in plain:
        return Folded(plain)
    places = [place for place, character in enumerate(plain) if character != _INVISIBLE]
    return Folded(plain.replace(_INVISIBLE, ""), places)


def _fold_character(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    category = unicodedata.category(character)
    if digit is not None:
        return str(digit)
    if category == "Cf":
        return _INVISIBLE
    if category == "Pd" or character == _MINUS:
        return "-"
    if category == "Zs":
        return " "
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 and plain.isascii() else character
