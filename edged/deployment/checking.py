"""Sections sampling and validation: what is checked, and who knows the truth. Pure."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from edged.decisions.sampling import Channel
from edged.deployment.addresses import is_loopback_url
from edged.deployment.section import Section

Strategy = Literal["random", "uncertainty", "stratified", "temporal", "active"]
_HUNTS: dict[Strategy, frozenset[Channel]] = {
    "random": frozenset(),
    "uncertainty": frozenset({Channel.UNCERTAINTY}),
    "stratified": frozenset({Channel.STRATIFIED}),
    "temporal": frozenset({Channel.TEMPORAL}),
    "active": frozenset({Channel.UNCERTAINTY, Channel.STRATIFIED}),
}


class Sampling(Section):
    """Which executions are checked; the uniform audit channel is always on."""

    strategy: Strategy | tuple[Strategy, ...] = "random"
    """One or several: each but random adds a channel that hunts for what audit rarely meets."""
    rate: float = Field(default=0.05, ge=0.01, le=0.2)
    """Of the audit channel, the one that measures: this share of all executions."""
    uncertainty_rate: float = Field(default=0.05, gt=0, le=0.2)
    """With uncertainty: as much again, at most, where the program was unsure."""
    stratified_rate: float = Field(default=0.05, gt=0, le=0.2)
    """With stratified: as much again, spread evenly over the outputs, rare ones first."""
    strata: tuple[str, ...] = Field(default=(), max_length=8)
    """With stratified: fields of the input that tell executions apart too, as dotted paths."""
    temporal_rate: float = Field(default=0.2, gt=0, le=1)
    """With temporal: the chance of a version's first executions at this edge."""
    temporal_half_life_s: float = Field(default=3600, gt=0, le=30 * 86_400)
    """With temporal: the time in which that chance halves, again and again."""
    budget_per_day: int = Field(default=200, ge=1)
    """With active: samples a day that all channels together spend, evenly over the day."""

    @field_validator("strategy")
    @classmethod
    def _is_composable(cls, value: Strategy | tuple[Strategy, ...]) -> object:
        if value == ():
            raise ValueError("name one strategy at least")
        if isinstance(value, tuple) and "active" in value and len(value) > 1:
            raise ValueError("active shares out one budget and stands alone")
        return value

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        return self.strategy if isinstance(self.strategy, tuple) else (self.strategy,)

    @property
    def hunts(self) -> frozenset[Channel]:
        """Return the channels besides audit."""
        return frozenset[Channel]().union(*(_HUNTS[name] for name in self.strategies))


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
