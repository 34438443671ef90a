"""Sign and verify states and artifacts: Ed25519 in DSSE envelopes.

Used by: the control plane (sign), the edge (verify). Never: logs a key, or accepts an envelope
whose payload type is not the expected one, so that a state cannot pass for an artifact.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, UnverifiedSignatureError, VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from edged.artifacts.manifest import Digest
from edged.errors import SignatureInvalid

STATE_TYPE = "application/vnd.loopai.state.v1+protobuf"
ARTIFACT_TYPE = "application/vnd.loopai.artifact.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactStatement:
    """What the signature of an artifact states."""

    task: str
    version: int
    digest: Digest

    def __str__(self) -> str:
        return f"{self.task} v{self.version} ({self.digest})"


class SigningKey:
    """The control plane's private key."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._signer = CryptoSigner(private_key)

    @classmethod
    def generate(cls) -> "SigningKey":
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Load a PEM file. Raises ValueError when it holds anything but an Ed25519 private key."""
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} does not hold an Ed25519 private key")  # noqa: TRY004
        return cls(key)

    @property
    def pem(self) -> bytes:
        return self._signer.private_bytes

    @property
    def public(self) -> "VerifyingKey":
        return VerifyingKey(self._signer.public_key)

    def sign_state(self, payload: bytes) -> bytes:
        """Return the envelope (JSON) over a serialised DesiredState."""
        return self._sign(payload, STATE_TYPE)

    def sign_artifact(self, statement: ArtifactStatement) -> bytes:
        """Return the envelope (JSON) over an artifact's task, version and digest."""
        facts = {"digest": statement.digest, "task": statement.task, "version": statement.version}
        return self._sign(json.dumps(facts, separators=(",", ":")).encode(), ARTIFACT_TYPE)

    def _sign(self, payload: bytes, payload_type: str) -> bytes:
        envelope = Envelope(payload, payload_type, {})
        envelope.sign(self._signer)
        return json.dumps(envelope.to_dict(), separators=(",", ":")).encode()


class VerifyingKey:
    """The public half, pinned by every edge at enrolment."""

    def __init__(self, key: SSlibKey) -> None:
        self._key = key

    @classmethod
    def from_bytes(cls, raw: bytes) -> "VerifyingKey":
        """Read 32 bytes. Raises ValueError for any other length."""
        return cls(SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw)))

    @property
    def raw(self) -> bytes:
        return bytes.fromhex(self._key.keyval["public"])

    @property
    def key_id(self) -> str:
        return self._key.keyid

    def open_state(self, envelope: bytes) -> bytes:
        """Return the serialised DesiredState. Raises SignatureInvalid."""
        return self._open(envelope, STATE_TYPE)

    def check_artifact(self, envelope: bytes, expected: ArtifactStatement) -> None:
        """Raise SignatureInvalid unless the envelope states exactly what is expected."""
        facts = json.loads(self._open(envelope, ARTIFACT_TYPE))
        stated = ArtifactStatement(
            task=facts.get("task"), version=facts.get("version"), digest=facts.get("digest")
        )
        if stated != expected:
            raise SignatureInvalid(reason=f"it is for {stated}, not for {expected}")

    def _open(self, envelope: bytes, payload_type: str) -> bytes:
        try:
            parsed = Envelope.from_dict(json.loads(envelope))
            parsed.verify([self._key], threshold=1)
        except (VerificationError, UnverifiedSignatureError) as error:
            raise SignatureInvalid(reason="not signed by the pinned key") from error
        except (ValueError, KeyError, TypeError, AttributeError, FormatError) as error:
            raise SignatureInvalid(reason="not a DSSE envelope") from error
        if parsed.payload_type != payload_type:
            raise SignatureInvalid(reason=f"payload type {parsed.payload_type!r}")
        return bytes(parsed.payload)
