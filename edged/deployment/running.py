"""Sections execution and artifacts: which programs run, and how. Pure."""

from pathlib import Path

from pydantic import Field

from edged.deployment.section import Section


class Execution(Section):
    """How programs run."""

    worker_count: int = Field(default=4, ge=1, le=256)
    timeout_ms: float = Field(default=1000, gt=0, le=600_000)
    memory_mb: int = Field(default=128, ge=16)
    max_workers: int = Field(default=64, ge=1)
    queue_calls: int = Field(default=1024, ge=1)


class Artifacts(Section):
    """Programs from a folder, for an edge without a control plane."""

    folder: Path | None = None
    """Holds artifact ZIPs, or is itself an unpacked artifact; watched for new ones."""
