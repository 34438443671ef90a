"""The three privacy modes and their order.

Pure. Never: loosens; whoever combines two modes gets the tighter one.
"""

from enum import StrEnum


class Mode(StrEnum):
    """How much of an execution may leave the edge."""

    STRICT = "strict"
    """No byte of text: hashes, indexes into the output schema's enum, counts."""
    BALANCED = "balanced"
    """Sampled inputs and outputs after detection of personal data."""
    PERMISSIVE = "permissive"
    """As it is; for development."""


_TIGHTEST_FIRST = (Mode.STRICT, Mode.BALANCED, Mode.PERMISSIVE)


def tighter(a: Mode, b: Mode) -> Mode:
    """Return the one that lets less out: the configured mode and home's floor meet here."""
    return min(a, b, key=_TIGHTEST_FIRST.index)
