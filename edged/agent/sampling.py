"""Draw the executions that are checked, task by task, as the log is followed.

Runs in: the agent. Talks to: state/sampling.salt. Never: remembers what it drew; a restart draws
the same samples again.

What a channel's chance is depends on the traffic before: that is `Traffic`, which belongs to a
position in the log and goes into the checkpoint with it. Strata are counted under keyed hashes,
so that a checkpoint holds no text.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import orjson

from edged.datasets.layout import Layout
from edged.decisions.chances import (
    quota_for,
    steepness_for,
    stratified_chance,
    temporal_chance,
    uncertainty_chance,
)
from edged.decisions.sampling import Channel, Sample, Sampler
from edged.decisions.traffic import Period, Traffic
from edged.deployment.checking import Sampling
from edged.files import write_whole

SALT_BYTES: Final = 32
_STRATUM_BYTES: Final = 8


class _Pace:
    """The chances' parameters while one period is the last whole one."""

    def __init__(self, settings: Sampling, past: Period | None) -> None:
        self.past = past
        hunts = settings.hunts
        doubt, strata = settings.uncertainty_rate, settings.stratified_rate
        self.audit = settings.rate
        if "active" in settings.strategies:
            self.audit, doubt, strata = _shares(settings, past)
        past = past or Period()
        self.steepness = self.quota = 0.0
        if Channel.UNCERTAINTY in hunts:
            self.steepness = steepness_for(past.bins, rate=doubt)
        if Channel.STRATIFIED in hunts:
            self.quota = quota_for(past.strata.values(), rate=strata)


class TaskSampler:
    """Draws for one task at one edge."""

    def __init__(self, settings: Sampling, salt: bytes) -> None:
        self._settings = settings
        self._salt = salt
        self._hunts = settings.hunts
        self._sampler = Sampler(salt)
        self._pace = _Pace(settings, None)
        self._needs_time = Channel.TEMPORAL in self._hunts or "active" in settings.strategies

    def take(self, line: Mapping[str, Any], traffic: Traffic) -> Sample | None:
        """Return the sample that a line of the execution log is, or None; `traffic` moves past it.

        Raises KeyError, TypeError or ValueError for what is no execution.
        """
        execution_id, confidence = line["execution_id"], line.get("confidence")
        stratum = self._stratum(line) if Channel.STRATIFIED in self._hunts else None
        at_s = datetime.fromisoformat(line["timestamp"]).timestamp() if self._needs_time else None
        if self._pace.past is not traffic.before:
            self._pace = _Pace(self._settings, traffic.before)
        chances = {Channel.AUDIT: self._pace.audit}
        if Channel.UNCERTAINTY in self._hunts:
            chances[Channel.UNCERTAINTY] = uncertainty_chance(confidence, self._pace.steepness)
        if stratum is not None:
            alike = traffic.alike(stratum)
            chances[Channel.STRATIFIED] = stratified_chance(alike, self._pace.quota)
        if at_s is not None and Channel.TEMPORAL in self._hunts:
            chances[Channel.TEMPORAL] = self._temporal(traffic.age_s(line["version"], at_s))
        sample = self._sampler.sample(execution_id, chances)
        traffic.count(confidence, stratum, at_s)
        return sample

    def audit(self, execution_id: str) -> Sample | None:
        """Return the sample where the audit channel, at its configured rate, drew the execution."""
        return self._sampler.sample(execution_id, {Channel.AUDIT: self._settings.rate})

    def _temporal(self, age_s: float) -> float:
        settings = self._settings
        return temporal_chance(
            age_s, peak=settings.temporal_rate, half_life_s=settings.temporal_half_life_s
        )

    def _stratum(self, line: Mapping[str, Any]) -> str:
        """Return the name of the executions like this one: same output, same declared fields."""
        fields = [_at(line["input"], path.split(".")) for path in self._settings.strata]
        spelled = orjson.dumps([line["output"], *fields], option=orjson.OPT_SORT_KEYS)
        return blake2b(spelled, digest_size=_STRATUM_BYTES, key=self._salt).hexdigest()


def _shares(settings: Sampling, past: Period | None) -> tuple[float, float, float]:
    """Return audit's, uncertainty's and stratified's shares that spend the day's budget evenly.

    Audit takes its rate, but no more than half of the budget; hunting takes what is left.
    """
    per_day = past.executions_per_day if past else None
    if past is None or per_day is None:
        return settings.rate, 0.0, 0.0
    share = min(1.0, settings.budget_per_day / per_day)
    audit = min(settings.rate, share / 2)
    left = share - audit
    return (audit, left / 2, left / 2) if past.has_confidence else (audit, 0.0, left)


def _at(value: Any, path: Sequence[str]) -> Any:
    """Return what a dotted path names in an input; None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def sampling_salt(layout: Layout) -> bytes:
    """Return this edge's salt; the first call makes it, readable by its owner only.

    Whoever knew it could choose ids that are never checked.
    """
    path = layout.state / "sampling.salt"
    if not path.exists():
        layout.state.mkdir(parents=True, exist_ok=True)
        write_whole(path, secrets.token_bytes(SALT_BYTES), mode=0o600)
    return path.read_bytes()
