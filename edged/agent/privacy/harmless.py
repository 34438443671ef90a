"""Cover what only looks like personal data before the detectors look: identifiers and digests.

Pure. Used by: detection. Never: covers digits alone.
"""

from edged.agent.privacy.forms import Form
from edged.agent.privacy.spans import cover

_HARMLESS = Form(
    r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"  # UUID
    r"|\b[0-9a-f]{32,128}\b"  # MD5, SHA-1, SHA-256 and the like
    r"|\b[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?:Z|[+\-][0-9]{2}:?[0-9]{2})?"  # a moment
)
_AT = ("@", "%40")  # behind these stands a host: the digest is somebody's mailbox


def cover_harmless(text: str) -> str:
    """Return the text, as long as before."""
    places = [
        (start, end)
        for start, end in _HARMLESS.places(text)
        if not (text[start:end].isdigit() or text.startswith(_AT, end))
    ]
    return cover(text, places) if places else text
