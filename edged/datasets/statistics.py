"""What a day's executions came to: counts and latency sketches by arm, that add up over days.

Pure but for `StatisticsFiles`. Used by: the agent, which keeps `analytics/daily-stats-<date>.json`,
and by `edged datasets`. Never: leaves this machine; the names of outputs stand here.

A file of statistics also says up to where each file of its day was counted, so it is its own
checkpoint: whoever reads it adds what came since, and nothing is counted twice.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from edged.datasets.follower import Positions
from edged.datasets.latencies import Latencies
from edged.datasets.layout import Layout
from edged.datasets.sealing import opened
from edged.errors import LogUnreadable
from edged.files import write_whole

CONFIDENCE_BINS: Final = 10
MAX_OUTPUTS: Final = 100  # different ones of an arm; the others count together
MAX_OUTPUT_BYTES: Final = 64
OTHER: Final = "(other)"
_PREFIX: Final = "daily-stats-"

ArmKey = tuple[int, str]  # version, arm


@dataclass(slots=True)
class ArmStatistics:
    """One arm of one task on one day. outputs: by their JSON text, most of them."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    confidence_bins: list[int] = field(default_factory=lambda: [0] * CONFIDENCE_BINS)
    outputs: Counter[str] = field(default_factory=Counter)

    def add(self, execution: Mapping[str, Any]) -> None:
        """Count one line. Raises KeyError, TypeError or ValueError for what is no execution."""
        status, latency_ms = execution["status"], float(execution["latency_ms"])
        if not 0 <= latency_ms < math.inf:
            raise ValueError("no latency")
        confidence = execution.get("confidence")
        if confidence is not None and not 0 <= confidence <= 1:
            raise ValueError("no confidence")
        self.statuses[status] += 1
        self.latencies.add(latency_ms)
        if confidence is not None:
            self.confidence_bins[min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1
        if status == "success":
            self._add_output(output_name(execution["output"]), 1)

    def merge(self, other: "ArmStatistics") -> None:
        self.statuses.update(other.statuses)
        self.latencies.merge(other.latencies)
        pairs = zip(self.confidence_bins, other.confidence_bins, strict=True)
        self.confidence_bins = [a + b for a, b in pairs]
        for text, n in other.outputs.items():
            self._add_output(text, n)

    def forget_outputs(self, is_gone: Callable[[str], bool]) -> bool:
        """Count outputs among the others from now on; say whether there were any."""
        gone = [text for text in self.outputs if text != OTHER and is_gone(text)]
        for text in gone:
            self.outputs[OTHER] += self.outputs.pop(text)
        return bool(gone)

    def _add_output(self, text: str, n: int) -> None:
        is_kept = text in self.outputs or len(self.outputs) < MAX_OUTPUTS
        self.outputs[text if is_kept else OTHER] += n


class Statistics:
    """A task's executions by arm, of a day or of several. positions: counted up to here."""

    def __init__(self) -> None:
        self.arms: dict[ArmKey, ArmStatistics] = {}
        self.malformed = 0
        self.positions: Positions = {}

    def add_lines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            try:
                execution = orjson.loads(line)
                self._arm(_arm_of(execution)).add(execution)
            except (ValueError, KeyError, TypeError, AttributeError):
                self.malformed += 1

    def merge(self, other: "Statistics") -> None:
        for key, arm in other.arms.items():
            self._arm(key).merge(arm)
        self.malformed += other.malformed

    def forget_outputs(self, is_gone: Callable[[str], bool]) -> bool:
        """Let the outputs' names go, but not their counts; say whether there were any."""
        return sum(arm.forget_outputs(is_gone) for arm in self.arms.values()) > 0

    def total(self) -> ArmStatistics:
        """Return all arms together."""
        total = ArmStatistics()
        for arm in self.arms.values():
            total.merge(arm)
        return total

    def as_json(self) -> dict[str, Any]:
        return {
            **_counts(self.total()),
            "malformed": self.malformed,
            "arms": [
                {"version": version, "arm": name, **_counts(arm)}
                for (version, name), arm in sorted(self.arms.items())
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Statistics":
        """Read what `as_json` made, with `positions` beside it. Raises KeyError and the like."""
        statistics = cls()
        statistics.malformed = document["malformed"]
        statistics.positions = dict(document["positions"])
        for fields in document["arms"]:
            statistics.arms[fields["version"], fields["arm"]] = ArmStatistics(
                statuses=Counter(fields["statuses"]),
                latencies=Latencies.from_json(fields["latency_ms"]),
                confidence_bins=list(fields["confidence_bins"]),
                outputs=Counter(fields["outputs"]),
            )
        return statistics

    def _arm(self, key: ArmKey) -> ArmStatistics:
        arm = self.arms.get(key)
        if arm is None:
            arm = self.arms[key] = ArmStatistics()
        return arm


class StatisticsFiles:
    """analytics/daily-stats-<date>.json of every task, sealed where logs are encrypted."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seal = layout.keyring.sealer().seal if layout.keyring else None

    def read(self, task: str, date: str) -> Statistics:
        """Return what was counted of a day so far; one that cannot be read is counted anew."""
        try:
            return Statistics.from_json(orjson.loads(self._opened(self.path(task, date))))
        except (FileNotFoundError, LogUnreadable, ValueError, KeyError, TypeError):
            return Statistics()

    def write(self, task: str, date: str, statistics: Statistics) -> None:
        path = self.path(task, date)
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "task": task,
            "date": date,
            **statistics.as_json(),
            "positions": statistics.positions,
        }
        self._write(path, orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def dates(self, task: str) -> set[str]:
        """Return the days that have a file."""
        paths = self._layout.analytics(task).glob(f"{_PREFIX}*.json")
        return {path.stem.removeprefix(_PREFIX) for path in paths}

    def is_current(self, task: str, date: str) -> bool:
        """Say whether a day's file is sealed under the first key."""
        keyring = self._layout.keyring
        return keyring is not None and keyring.is_current(self.path(task, date).read_bytes())

    def rekey(self, task: str, date: str) -> None:
        """Seal a day's file under the first key. Raises OSError or LogUnreadable."""
        path = self.path(task, date)
        self._write(path, self._opened(path))

    def path(self, task: str, date: str) -> Path:
        return self._layout.analytics(task) / f"{_PREFIX}{date}.json"

    def _opened(self, path: Path) -> bytes:
        return b"\n".join(opened(path.read_bytes(), self._layout.keyring, path))

    def _write(self, path: Path, content: bytes) -> None:
        write_whole(path, self._seal(content + b"\n") if self._seal else content)


def _arm_of(execution: Mapping[str, Any]) -> ArmKey:
    """Raises TypeError for names of other types: they could not stand beside the others."""
    version, arm, status = execution["version"], execution["arm"], execution["status"]
    if not (isinstance(version, int) and isinstance(arm, str) and isinstance(status, str)):
        raise TypeError("no execution")
    return version, arm


def _counts(arm: ArmStatistics) -> dict[str, Any]:
    return {
        "executions": arm.statuses.total(),
        "statuses": dict(sorted(arm.statuses.items())),
        "latency_ms": arm.latencies.as_json(),
        "confidence_bins": arm.confidence_bins,
        "outputs": dict(arm.outputs.most_common()),
    }


def output_name(output: Any) -> str:
    """Return what an output is counted under."""
    text = orjson.dumps(output)
    return text.decode() if len(text) <= MAX_OUTPUT_BYTES else OTHER
