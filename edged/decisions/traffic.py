"""What was seen of a task's executions up to a place in its log: what the next draws depend on.

Pure. Used by: the agent, which keeps it in the follower's checkpoint, for a repeat must draw alike.
Never: holds an input, an output or a time that did not come out of the log.

Traffic is counted in periods. What one period was like sets the chances in the next, so a chance
never depends on the execution that it decides about.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

CONFIDENCE_BINS: Final = 10
PERIOD_EXECUTIONS: Final = 1_000  # chances follow a drift within so many
FIRST_PERIOD_EXECUTIONS: Final = 100  # so that a quiet task is hunted too
MAX_STRATA: Final = 64  # outputs that are texts are all different; the rest is one stratum
OTHERS: Final = ""
_MAX_VERSIONS: Final = 16


@dataclass(slots=True, kw_only=True)
class Period:
    """A number of executions in a row. began_s, seconds: by their times in the log."""

    executions: int = 0
    bins: list[int] = field(default_factory=lambda: [0] * CONFIDENCE_BINS)
    strata: dict[str, int] = field(default_factory=dict)
    began_s: float | None = None
    seconds: float = 0.0

    @property
    def has_confidence(self) -> bool:
        return any(self.bins)

    @property
    def executions_per_day(self) -> float | None:
        """None where the log's times say nothing of it."""
        return self.executions / self.seconds * 86_400 if self.seconds > 0 else None

    def count(self, confidence: float | None, stratum: str | None, at_s: float | None) -> None:
        self.executions += 1
        if confidence is not None:
            self.bins[min(max(int(confidence * CONFIDENCE_BINS), 0), CONFIDENCE_BINS - 1)] += 1
        if stratum is not None:
            name = stratum if self._has_room_for(stratum) else OTHERS
            self.strata[name] = self.strata.get(name, 0) + 1
        if at_s is not None:
            self.began_s = at_s if self.began_s is None else self.began_s
            self.seconds = at_s - self.began_s

    def _has_room_for(self, stratum: str) -> bool:
        return stratum in self.strata or len(self.strata) < MAX_STRATA

    def copy(self) -> "Period":
        return replace(self, bins=list(self.bins), strata=dict(self.strata))


@dataclass(slots=True, kw_only=True)
class Traffic:
    """now: the period that runs. before: the last whole one, never changed; None at first.

    first_seen: version → when its first execution since it came into use was logged, seconds since
    the epoch; the one that ran last comes last. ran: versions that ran in this period.
    """

    now: Period = field(default_factory=Period)
    before: Period | None = None
    first_seen: dict[int, float] = field(default_factory=dict)
    ran: set[int] = field(default_factory=set)

    def count(self, confidence: float | None, stratum: str | None, at_s: float | None) -> bool:
        """Take in one execution; returns whether a new period begins behind it."""
        self.now.count(confidence, stratum, at_s)
        length = FIRST_PERIOD_EXECUTIONS if self.before is None else PERIOD_EXECUTIONS
        if self.now.executions < length:
            return False
        self.before, self.now = self.now, Period()
        # One that did not run for a whole period is new when it comes back, as by a rollback.
        self.first_seen = {v: at_s for v, at_s in self.first_seen.items() if v in self.ran}
        self.ran = set()
        return True

    def alike(self, stratum: str) -> int:
        """Return how many executions of the past were in this stratum."""
        before = self.before.strata if self.before else {}
        if stratum not in before and OTHERS in before:
            stratum = OTHERS
        # One that came up since counts as it grows: else a flood of a new output is drawn whole.
        return before.get(stratum, 0) or self.now.strata.get(stratum, 0)

    def age_s(self, version: int, at_s: float) -> float:
        """Return how long the version has been in use, and remember that it is."""
        self.ran.add(version)
        first_s = self.first_seen[version] = self.first_seen.pop(version, at_s)
        if len(self.first_seen) > _MAX_VERSIONS:
            del self.first_seen[next(iter(self.first_seen))]
        return at_s - first_s

    def copy(self) -> "Traffic":
        return replace(
            self, now=self.now.copy(), first_seen=dict(self.first_seen), ran=set(self.ran)
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "now": _period_json(self.now),
            "before": _period_json(self.before) if self.before else None,
            "first_seen": {str(version): at_s for version, at_s in self.first_seen.items()},
            "ran": sorted(self.ran),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Traffic":
        """Read what `as_json` wrote. Raises ValueError."""
        try:
            before = document["before"]
            return cls(
                now=Period(**document["now"]),
                before=None if before is None else Period(**before),
                first_seen={int(key): float(at) for key, at in document["first_seen"].items()},
                ran=set(document.get("ran", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a task's traffic: {error!r}") from error


def _period_json(period: Period) -> dict[str, Any]:
    return {
        "executions": period.executions,
        "bins": period.bins,
        "strata": period.strata,
        "began_s": period.began_s,
        "seconds": period.seconds,
    }
