"""Sections storage and retention: what stays on disk, where, for how long. Pure."""

from pathlib import Path

from pydantic import Field

from edged.deployment.section import Section


class Storage(Section):
    data_dir: Path = Path("loopai-data")
    retention_days: int = Field(default=30, ge=1)
    max_size_gb: float = Field(default=100, gt=0)


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
