"""Sections storage and retention: what stays on disk, where, for how long. Pure."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from edged.datasets.layout import Layout
from edged.datasets.sealing import Keyring
from edged.deployment.section import Section
from edged.errors import KeyInvalid


class Encryption(Section):
    """AES-256-GCM for what the logs hold, off without a key. The first key seals, all open."""

    key: SecretStr | None = None
    """64 hex digits, several separated by commas; only as a reference: ${LOOPAI_DATA_KEY}."""
    key_file: Path | None = None
    """Or a file with one key a line."""

    @field_validator("key")
    @classmethod
    def _is_key(cls, key: SecretStr | None) -> SecretStr | None:
        try:
            _keyring(key)
        except KeyInvalid as error:
            raise ValueError(str(error)) from None
        return key

    @property
    def keyring(self) -> Keyring | None:
        return _keyring(self.key)


class Storage(Section):
    data_dir: Path = Path("loopai-data")
    retention_days: int = Field(default=30, ge=1)
    """Of what no key below names: outcomes, decisions, statistics, the audit log."""
    max_size_gb: float = Field(default=100, gt=0)
    on_full: Literal["refuse", "serve"] = "refuse"
    """When a line cannot be written: refuse the call, or answer it without one and count that."""
    fsync: Literal["never", "interval", "always"] = "never"
    fsync_interval_ms: float = Field(default=1000, ge=10)
    encryption: Encryption = Encryption()

    @property
    def layout(self) -> Layout:
        return Layout(self.data_dir, self.encryption.keyring)


class RetentionExecutions(Section):
    keep_days: int = Field(default=7, ge=1)
    compress_after: int = Field(default=1, ge=0)


class RetentionValidations(Section):
    keep_days: int = Field(default=30, ge=1)


class RetentionArtifacts(Section):
    keep_versions: int = Field(default=10, ge=1)


class Retention(Section):
    executions: RetentionExecutions = RetentionExecutions()
    validations: RetentionValidations = RetentionValidations()
    artifacts: RetentionArtifacts = RetentionArtifacts()


def _keyring(key: SecretStr | None) -> Keyring | None:
    return Keyring.parse(key.get_secret_value().split(",")) if key else None
