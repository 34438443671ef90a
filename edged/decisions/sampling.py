"""Draw the executions that are checked against an oracle, each with the probability it had.

Pure. Used by: the agent, line by line as it follows the log. Never: looks at an input or an output.

*Audit* draws uniformly and measures: its labels alone feed the sequential tests. The other channels
hunt: they find examples where failures are likely, or where little is known. All draw
independently, and a sample knows which drew it and how likely each, and any, was.

A draw is a keyed hash of the execution's id, not a random number: an agent that is killed and
follows the same lines again draws the same samples, and raising a rate keeps every sample drawn
before. The key is the edge's own, so that nobody who picks ids can steer around the checks.

Sources: Horvitz and Thompson, JASA 1952, for inclusion probabilities; permanent random numbers:
Ohlsson, "Coordination of samples using permanent random numbers", 1995.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from math import prod
from struct import Struct
from typing import Final

MAX_SALT_BYTES: Final = 64  # of BLAKE2b's key
_NUMBERS: Final = Struct(">8Q")  # one for each channel there may ever be, so that none moves
_FRACTION_BITS: Final = 53  # what a float between 0 and 1 holds exactly: no draw rounds up to 1
_SCALE: Final = 1 << _FRACTION_BITS


class Channel(StrEnum):
    """In the order of their permanent random numbers: add at the end."""

    AUDIT = "audit"
    UNCERTAINTY = "uncertainty"
    STRATIFIED = "stratified"
    TEMPORAL = "temporal"


_PLACES: Final = {channel: place for place, channel in enumerate(Channel)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One channel drew it. inclusion_probability: that this channel would."""

    channel: Channel
    inclusion_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """inclusion_probability: that any channel would draw it, which is what estimates need."""

    draws: tuple[Draw, ...]  # at least one, audit first
    inclusion_probability: float

    @property
    def is_audit(self) -> bool:
        return self.channel is Channel.AUDIT

    @property
    def channel(self) -> Channel:
        """The channel to record: audit, if it drew it, since only its labels may feed a test."""
        return self.draws[0].channel


class Sampler:
    """Draws at one edge. salt: the edge's secret, 1 to 64 bytes."""

    def __init__(self, salt: bytes) -> None:
        if not 1 <= len(salt) <= MAX_SALT_BYTES:
            raise ValueError(f"a salt has 1 to {MAX_SALT_BYTES} bytes")
        self._keyed = blake2b(digest_size=_NUMBERS.size, key=salt)

    def sample(self, execution_id: str, chances: Mapping[Channel, float]) -> Sample | None:
        """Return the sample that this execution is, or None.

        chances: by channel, 0 to 1. Raises ValueError unless audit has one: without it some
        executions would have no chance at all, and no weight mends that.
        """
        if not chances.get(Channel.AUDIT, 0.0) > 0:
            raise ValueError("the audit channel is always on")
        hashed = self._keyed.copy()
        hashed.update(execution_id.encode())
        numbers = _NUMBERS.unpack(hashed.digest())
        drawn = [
            channel
            for channel, chance in chances.items()
            if numbers[_PLACES[channel]] >> (64 - _FRACTION_BITS) < chance * _SCALE
        ]
        return _sample(drawn, chances) if drawn else None


def _sample(drawn: list[Channel], chances: Mapping[Channel, float]) -> Sample:
    draws = tuple(
        Draw(channel=channel, inclusion_probability=chances[channel])
        for channel in sorted(drawn, key=_PLACES.__getitem__)
    )
    any_of_them = 1 - prod(1 - chance for chance in chances.values())
    return Sample(draws=draws, inclusion_probability=any_of_them)
