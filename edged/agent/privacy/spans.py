"""Where personal data stands in a text, and of which kind it is.

Pure. Never: holds the text itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

COVER = "\x1a"  # stands for found text while later detectors look; matches none of their patterns


class Kind(StrEnum):
    """What detectors find; `[EMAIL]` takes its place. A customer's pattern has its own name."""

    EMAIL = "EMAIL"
    PHONE = "PHONE"
    SSN = "SSN"
    CARD = "CARD"
    IP = "IP"
    IBAN = "IBAN"
    SECRET = "SECRET"  # noqa: S105 the name of a kind: API keys, tokens, passwords


@dataclass(frozen=True, slots=True)
class Span:
    """text[start:end] is of this kind. Positional: detectors make many."""

    start: int
    end: int
    kind: str

    @property
    def place(self) -> tuple[int, int]:
        return self.start, self.end


def cover(text: str, places: Iterable[tuple[int, int]]) -> str:
    """Return the text, as long as before, blanked out from start to end of each place."""
    parts: list[str] = []
    at = 0
    for start, end in sorted(places):
        begin = max(start, at)  # places may overlap
        if begin < end:
            parts += [text[at:begin], COVER * (end - begin)]
            at = end
    return "".join([*parts, text[at:]])


def is_inside_digits(text: str, start: int, end: int) -> bool:
    """Say whether a digit goes on directly before or after text[start:end]."""
    return text[max(0, start - 1) : start].isdigit() or text[end : end + 1].isdigit()


def is_fraction(text: str, start: int) -> bool:
    """Say whether text[start] stands right after a decimal point.

    Not after a comma: `17,4111…` is a row of a table more often than a number.
    """
    return start >= 2 and text[start - 1] == "." and text[start - 2].isdigit()
