"""Lines encrypted at rest: AES-256-GCM, one envelope for what was appended together.

Runs in: every process that writes or reads logs. Never: shows a key, or writes one down.

An envelope is itself a line of JSON, `{"sealed":"<base64>"}`, so that positions, torn tails and
archives work on encrypted logs as on plain ones, and one file may hold both. Inside: format, id
of the key, salt, counter, then the ciphertext. A random nonce for each append would use up its
key within days at 10,000 appends a second (NIST SP 800-38D allows 2^32), so every sealer draws a
salt, derives a key of its own from it (HKDF) and counts its nonces.
"""

import hashlib
import os
import struct
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edged.errors import KeyInvalid, KeyMissing, SealedDamaged

KEY_BYTES: Final = 32
SEALED: Final = b'{"sealed":"'
_SUFFIX: Final = b'"}'
_HEADER: Final = struct.Struct(">B4s16sQ")  # format, key id, salt, counter
_PLAIN, _DEFLATED = 1, 2
_DERIVED_KEYS: Final = 4096  # one for each run of a writer
_DEFLATE_LEVEL: Final = 6


class Keyring:
    """The keys of one data_dir. The first one seals; all of them open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._by_id = {_key_id(key): key for key in keys}
        self._first = _key_id(keys[0])
        self._derived = lru_cache(_DERIVED_KEYS)(self._derive)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Keyring | None":
        """Take keys as 64 hex digits each; None where there is no key. Raises KeyInvalid."""
        keys = [_parse_key(text) for text in texts if text.strip()]
        return cls(keys) if keys else None

    def sealer(self) -> "Sealer":
        """Return a sealer with a key of its own."""
        salt = os.urandom(16)
        return Sealer(self._first, salt, self._derived(self._first, salt))

    def open(self, line: bytes, source: object = "the log") -> list[bytes]:
        """Return the lines in an envelope; source: of it. Raises KeyMissing or SealedDamaged."""
        try:
            sealed = a2b_base64(line[len(SEALED) : line.rindex(_SUFFIX)], strict_mode=True)
            kind, key_id, salt, counter = _HEADER.unpack_from(sealed)
            if key_id not in self._by_id:
                raise KeyMissing(key=f"the key with id {key_id.hex()}")
            nonce, header = _nonce(counter), sealed[: _HEADER.size]
            content = self._derived(key_id, salt).decrypt(nonce, sealed[_HEADER.size :], header)
        except (ValueError, struct.error) as error:
            raise SealedDamaged(source=source, reason="it is no envelope") from error
        except InvalidTag as error:
            raise SealedDamaged(source=source, reason="it was changed") from error
        return (zlib.decompress(content) if kind == _DEFLATED else content).split(b"\n")[:-1]

    def is_current(self, line: bytes) -> bool:
        """Say whether a line is sealed with the first key."""
        if not is_sealed(line):
            return False
        try:
            header = a2b_base64(line[len(SEALED) : len(SEALED) + 8])
        except ValueError:  # damaged, as `open` will say
            return False
        return header[1:5] == self._first

    def _derive(self, key_id: bytes, salt: bytes) -> AESGCM:
        derivation = HKDF(SHA256(), KEY_BYTES, salt, b"loopai log")
        return AESGCM(derivation.derive(self._by_id[key_id]))


class Sealer:
    """Seals what one writer appends. Never shared between processes: its counter is its own."""

    def __init__(self, key_id: bytes, salt: bytes, cipher: AESGCM) -> None:
        self._key_id = key_id
        self._salt = salt
        self._cipher = cipher
        self._counter = count()

    def seal(self, content: bytes, *, deflate: bool = False) -> bytes:
        """Return one envelope, newline included, for whole lines."""
        counter = next(self._counter)
        header = _HEADER.pack(_DEFLATED if deflate else _PLAIN, self._key_id, self._salt, counter)
        plain = zlib.compress(content, _DEFLATE_LEVEL) if deflate else content
        sealed = header + self._cipher.encrypt(_nonce(counter), plain, header)
        return SEALED + b2a_base64(sealed, newline=False) + _SUFFIX + b"\n"


def is_sealed(line: bytes) -> bool:
    return line.startswith(SEALED)


def opened(line: bytes, keyring: Keyring | None, source: object = "the log") -> list[bytes]:
    """Return what a line of a log stands for: itself, or the lines in its envelope.

    Raises KeyMissing or SealedDamaged.
    """
    if not is_sealed(line):
        return [line]
    if keyring is None:
        raise KeyMissing(key="a key")
    return keyring.open(line, source)


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "big")


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"loopai key id\0" + key).digest()[:4]


def _parse_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyInvalid
    return key
