"""Sections telemetry and privacy: what leaves this machine. Pure."""

from typing import Literal

from pydantic import Field

from edged.deployment.section import Section


class Telemetry(Section):
    """What goes home: counts of every execution, and validated samples as the mode permits."""

    enabled: bool = True
    upload_interval_sec: float = Field(default=60, gt=0)
    batch_size: int = Field(default=1000, ge=1)
    privacy_mode: Literal["strict", "balanced", "permissive"] = "balanced"


class Privacy(Section):
    """What the privacy filter does, in front of everything that leaves."""

    pii_detection: bool = True
    hash_inputs: bool = False
    sample_only: bool = True
