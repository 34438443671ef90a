"""Sections sampling and validation: what is checked, and who knows the truth. Pure."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from edged.deployment.addresses import is_loopback_url
from edged.deployment.section import Section


class Sampling(Section):
    """Which executions are checked; the uniform audit channel is always on."""

    strategy: Literal["random", "uncertainty", "stratified", "temporal", "active"] = "random"
    rate: float = Field(default=0.05, ge=0.01, le=0.2)
    """Of the audit channel, the one that measures: this share of all executions."""
    uncertainty_rate: float = Field(default=0.05, gt=0, le=0.2)
    """With strategy uncertainty: as much again, at most, where the program was unsure."""


class Comparison(Section):
    """When an output counts as right."""

    method: Literal["exact"] = "exact"
    ignore: tuple[str, ...] = ()
    """Fields that do not count, as dotted paths."""
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """For numbers, absolute."""


class HttpValidation(Section):
    """The truth comes from an HTTP endpoint of the customer's own."""

    oracle: Literal["http"]
    url: str
    timeout_ms: float = Field(default=5000, gt=0, le=600_000)
    budget_per_day: int = Field(default=10_000, ge=0)
    """Questions a UTC day; when it is spent, samples are skipped and counted."""
    cost: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Of one answer that does not name its own, in US dollars."""
    insecure: bool = False
    """Send inputs in clear to an oracle that is not on this machine."""
    comparison: Comparison = Comparison()

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        # No user:password@ either: every process of the edge inherits this section.
        host = r"([^/\s:@?#\[\]]+|\[[0-9a-fA-F:.]+\])"
        found = re.fullmatch(rf"https?://{host}(:(?P<port>\d{{1,5}}))?(/[^\s#]*)?", url)
        if found is None or int(found["port"] or 0) > 65_535:
            raise ValueError("must look like http://host:port/path")
        return url

    @property
    def is_local(self) -> bool:
        """Say whether a question stays on this machine."""
        return is_loopback_url(self.url)


class ProgramValidation(Section):
    """The truth comes from a reference artifact, run in the agent's own pool."""

    oracle: Literal["program"]
    artifact: Path
    """The artifact's ZIP."""
    timeout_ms: float = Field(default=5000, gt=0, le=600_000)
    comparison: Comparison = Comparison()


class OutcomeValidation(Section):
    """The truth comes later, from callers, by ReportOutcome."""

    oracle: Literal["outcome"]
    every_execution_reported: bool = False
    """Truths are not self-selected: then each of them counts like an audit sample."""
    comparison: Comparison = Comparison()


TaskValidation = Annotated[
    HttpValidation | ProgramValidation | OutcomeValidation, Field(discriminator="oracle")
]
