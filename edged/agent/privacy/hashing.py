"""Keyed hashes of inputs and outputs, and the key that never leaves the edge.

Runs in: the agent. Talks to: state/privacy.key. Never: hashes without the key; the SHA-256 of a
short text can be guessed.
"""

import hashlib
import hmac
import secrets
from typing import Any, Literal

import orjson

from edged.datasets.layout import Layout
from edged.files import write_whole

KEY_BYTES = 32
Purpose = Literal["input", "output", "field"]


def deployment_key(layout: Layout) -> bytes:
    """Return this deployment's key; the first call makes it, readable by its owner only.

    Raises ValueError when the file is damaged: another key would break every comparison at home.
    """
    path = layout.state / "privacy.key"
    if not path.exists():
        layout.state.mkdir(parents=True, exist_ok=True)
        write_whole(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
    path.chmod(0o600)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path.name} has {len(key)} bytes, not {KEY_BYTES}")
    return key


def canonical(value: Any) -> bytes:
    """Return the one spelling of a JSON value: keys sorted, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def keyed_hash(key: bytes, purpose: Purpose, content: bytes) -> bytes:
    """Return the HMAC-SHA-256 of canonical JSON.

    An output that repeats its input has another hash, so that home cannot see that it does.
    """
    return hmac.digest(key, purpose.encode() + b"\0" + content, hashlib.sha256)
