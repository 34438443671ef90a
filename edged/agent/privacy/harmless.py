"""Cover what only looks like personal data before the detectors look: identifiers and digests.

Pure. Used by: detection. Never: covers digits alone.
"""

import re2

from edged.agent.privacy.spans import COVER

_HARMLESS = re2.compile(
    r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"  # UUID
    r"|\b[0-9a-f]{32,128}\b"  # MD5, SHA-1, SHA-256 and the like
    r"|\b[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?:Z|[+\-][0-9]{2}:?[0-9]{2})?"  # a moment
)


def cover_harmless(text: str) -> str:
    """Return the text, as long as before."""
    return str(_HARMLESS.sub(_covered, text))


def _covered(match: "re2._Match[str]") -> str:
    found = match.group()
    return found if found.isdigit() else COVER * len(found)
