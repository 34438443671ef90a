"""A sketch of latencies whose quantiles are right within 1 %, and which adds up over days and arms.

Pure. The bins are those of DDSketch (Masson, Rim and Lee, VLDB 2019), kept as plain integers: they
are stored as JSON that people read, which the library's own sketch has no door for.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

ACCURACY: Final = 0.01  # relative: a p99 of 10 ms is told as 9.9 to 10.1
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
_GAMMA: Final = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA: Final = math.log(_GAMMA)
_LEAST_MS: Final = 1e-6  # what is below counts as this
_HELD: Final = 4_096  # latencies that wait for their bins: many are equal, and cost one step


class Latencies:
    """Counts of latencies in ms, by bin."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self._held: list[float] = []
        self._sum_ms = 0.0
        self._min_ms = math.inf
        self._max_ms = 0.0

    def add(self, latency_ms: float) -> None:
        """Count one, finite and not negative."""
        self._held.append(latency_ms)
        if len(self._held) >= _HELD:
            self._settle()

    def merge(self, other: "Latencies") -> None:
        self._settle()
        other._settle()  # noqa: SLF001 of the same class
        self._bins.update(other._bins)  # noqa: SLF001
        self._sum_ms += other._sum_ms  # noqa: SLF001
        self._note_extremes(other._min_ms, other._max_ms)  # noqa: SLF001

    def quantile(self, q: float) -> float:
        """Return the q-quantile in ms; 0 without any latency."""
        self._settle()
        rank = q * (self._bins.total() - 1)
        seen = 0
        for key in sorted(self._bins):
            seen += self._bins[key]
            if seen > rank:
                middle_ms = 2 * _GAMMA**key / (1 + _GAMMA)
                return min(max(middle_ms, self._min_ms), self._max_ms)
        return 0.0

    def as_json(self) -> dict[str, Any]:
        """Return quantiles for people, and the bins that they come from."""
        self._settle()
        count = self._bins.total()
        if not count:
            return {"count": 0}
        return {
            "count": count,
            "sum": _rounded(self._sum_ms),
            "min": _rounded(self._min_ms),
            **{name: _rounded(self.quantile(q)) for name, q in QUANTILES.items()},
            "max": _rounded(self._max_ms),
            "bins": {str(key): self._bins[key] for key in sorted(self._bins)},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Latencies":
        """Read what `as_json` made. Raises KeyError and the like."""
        latencies = cls()
        if document["count"]:
            latencies._bins.update({int(key): n for key, n in document["bins"].items()})
            latencies._sum_ms = document["sum"]
            latencies._note_extremes(document["min"], document["max"])
        return latencies

    def _settle(self) -> None:
        held, self._held = self._held, []
        if not held:
            return
        for latency_ms, n in Counter(held).items():
            self._bins[math.ceil(math.log(max(latency_ms, _LEAST_MS)) / _LOG_GAMMA)] += n
        self._sum_ms += sum(held)
        self._note_extremes(min(held), max(held))

    def _note_extremes(self, min_ms: float, max_ms: float) -> None:
        self._min_ms = min(self._min_ms, min_ms)
        self._max_ms = max(self._max_ms, max_ms)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
