"""Sections sampling and validation: what is checked, and who knows the truth. Pure."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from edged.decisions.sampling import Channel
from edged.deployment.comparing import Address, Comparison
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


class HttpValidation(Address):
    """The truth comes from an HTTP endpoint of the customer's own."""

    oracle: Literal["http"]
    timeout_ms: float = Field(default=5000, gt=0, le=600_000)
    budget_per_day: int = Field(default=10_000, ge=0)
    """Questions a UTC day; when it is spent, samples are skipped and counted."""
    budget_usd_per_day: float | None = Field(default=None, ge=0)
    """The same in US dollars."""
    cost: float = Field(default=0.0, ge=0)
    """Of one answer that does not name its own, in US dollars."""
    comparison: Comparison = Comparison()


class AnthropicValidation(Section):
    """The truth comes from a language model; see section `anthropic`."""

    oracle: Literal["anthropic"]
    instructions: str = Field(default="", max_length=20_000)
    """What the task's description does not say."""
    budget_per_day: int = Field(default=1_000, ge=0)
    budget_usd_per_day: float | None = Field(default=1.0, ge=0)
    comparison: Comparison = Comparison()


class ControlPlaneValidation(Section):
    """The truth comes from home, where a language model or a person answers, days later perhaps."""

    oracle: Literal["control_plane"]
    budget_per_day: int = Field(default=200, ge=0)
    """People answer some of these."""
    comparison: Comparison = Comparison()


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
    HttpValidation
    | AnthropicValidation
    | ProgramValidation
    | ControlPlaneValidation
    | OutcomeValidation,
    Field(discriminator="oracle"),
]
