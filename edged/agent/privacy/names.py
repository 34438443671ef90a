"""Read the name beside a value, such as its key: it says what a text alone does not.

Pure. Used by: scrubbing and detection. Never: looks at the value.
"""

import re
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET = re.compile(
    r"(?i)(?:passw(?:or)?d|passphrase|passcode|(?:\b|_)pwd|secret|credential"
    r"|(?:api|access|private|secret|signing|encryption|master)[_\- ]?key"
    r"|(?:access|auth|refresh|bearer|id|session)[_\- ]?token)s?$"
)


def spelled_out(name: str) -> str:
    """Return a name in words: `apiKey` is `api_Key`."""
    return _CAMEL.sub("_", name)


@lru_cache(1_024)
def is_secret_name(name: str) -> bool:
    """Say whether whatever stands under this name is a secret, words and numbers too."""
    return _SECRET.search(spelled_out(name)) is not None
