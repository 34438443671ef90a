"""Hash API keys. Pure."""

import hashlib
import hmac


def hash_of(pepper: bytes, key: str) -> str:
    """Return the HMAC-SHA-256 of a key, which alone is kept."""
    return hmac.new(pepper, key.encode(), hashlib.sha256).hexdigest()


def is_same(kept: str, claimed: str) -> bool:
    """Compare in constant time.

    An index that compared the two before tells nothing of a key: both are HMACs under the pepper.
    """
    return hmac.compare_digest(kept, claimed)
