"""Keep the secrets in `data_dir/keys`: signing key, pepper, first API key.

Made at the first start, mode 0600 in a folder of mode 0700, whole or not at all.
Runs in: server and jobs (signing key). Never: logs a secret, or overwrites one.
"""

import os
import secrets
from pathlib import Path

from edged.artifacts.signing import SigningKey

PEPPER_BYTES = 32


def new_api_key() -> str:
    """Return 256 random bits in words that a header may carry."""
    return "loopai_" + secrets.token_urlsafe(32)


class KeyFolder:
    """The folder of secrets; opened (made) by `prepare`, read by the rest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make what is missing."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        if not self._signing.exists():
            _create(self._signing, SigningKey.generate().pem)
        if not self._pepper.exists():
            _create(self._pepper, secrets.token_bytes(PEPPER_BYTES))

    def signing_key(self) -> SigningKey:
        return SigningKey.read(self._signing)

    def pepper(self) -> bytes:
        return self._pepper.read_bytes()

    @property
    def api_key_path(self) -> Path:
        return self._folder / "api-key"

    def read_api_key(self) -> str | None:
        """Return the generated key where one was written."""
        try:
            return self.api_key_path.read_text().strip()
        except FileNotFoundError:
            return None

    def create_api_key(self) -> str:
        """Make a 256-bit key, write it to `api_key_path` and return it."""
        key = new_api_key()
        _create(self.api_key_path, key.encode() + b"\n")
        return key

    @property
    def _signing(self) -> Path:
        return self._folder / "signing-key.pem"

    @property
    def _pepper(self) -> Path:
        return self._folder / "api-key-pepper"


def _create(path: Path, content: bytes) -> None:
    """Write a secret whole: a start that was cut short must not leave half a key behind."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
