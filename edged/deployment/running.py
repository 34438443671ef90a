"""Sections execution and artifacts: which programs run, and how. Pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from edged.artifacts.manifest import TaskName
from edged.deployment.section import Section


class Execution(Section):
    """How programs run."""

    worker_count: int = Field(default=4, ge=1, le=256)
    timeout_ms: float = Field(default=1000, gt=0, le=600_000)
    memory_mb: int = Field(default=128, ge=16)
    min_workers: int = Field(default=0, ge=0, le=256)
    max_workers: int = Field(default=64, ge=1)
    queue_calls: int = Field(default=1024, ge=1)
    task_calls: Mapping[TaskName, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Of one version of a task at a time, waiting and running."""

    @model_validator(mode="after")
    def _check_workers(self) -> Self:
        if self.min_workers > self.worker_count:
            raise ValueError("min_workers must not exceed worker_count")
        if self.worker_count > self.max_workers:
            raise ValueError("worker_count must not exceed max_workers")
        return self


class Artifacts(Section):
    """Programs from a folder, for an edge without a control plane."""

    folder: Path | None = None
    """Holds artifact ZIPs, or is itself an unpacked artifact; watched for new ones."""
