"""Turn new lines of the logs into what a rollout counts.

Runs in: the agent. Talks to: nothing; lines come in, observations go out. Never: decides.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson

from edged.agent.rollout_file import RolloutState
from edged.datasets.follower import Chunk
from edged.decisions.mixtures import Tally
from edged.decisions.progress import ArmCounts, Observations, Phase

RECENT = 2_000  # stable executions that its p99 is taken from
MIN_RECENT = 200  # fewer say nothing about a p99


class Observer:
    """Counts one rollout's executions and labels between two looks."""

    def __init__(self, state: RolloutState, recent: Iterable[bytes]) -> None:
        """recent: lines of the execution log from before, for the stable version's p99."""
        self._stable = state.stable.version
        self._candidate = state.candidate.version
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._seen = Observations()
        for line in recent:
            execution = read_line(line)
            if execution is not None and execution["version"] == self._stable:
                self._recent.append(execution["latency_ms"])

    def take(self) -> Observations:
        """Return what was seen since the last call."""
        seen = replace(self._seen, stable_p99_ms=self._stable_p99_ms())
        self._seen = Observations()
        return seen

    def add(self, more: Observations) -> None:
        seen = self._seen
        self._seen = replace(
            seen,
            candidate=seen.candidate + more.candidate,
            stable=seen.stable + more.stable,
            slow=seen.slow + more.slow,
            pairs=seen.pairs + more.pairs,
        )

    def add_executions(self, chunk: Chunk, state: RolloutState) -> None:
        """Count lines of the execution log; in the shadow phase only the stable version has any."""
        for line in chunk.lines:
            execution = read_line(line)
            if execution is not None:
                self._add_execution(execution, state)

    def add_labels(self, validation: dict[str, Any]) -> None:
        """Count one validation of the audit channel."""
        label = ArmCounts(labels=1, failures=int(not validation["match"]))
        if validation["version"] == self._candidate:
            self.add(Observations(candidate=label))
        elif validation["version"] == self._stable:
            self.add(Observations(stable=label))

    def _add_execution(self, execution: dict[str, Any], state: RolloutState) -> None:
        version, latency_ms = execution["version"], execution["latency_ms"]
        if version == self._stable:
            self._recent.append(latency_ms)
        counts = counts_of(execution)
        if version == self._stable:
            self.add(Observations(stable=counts))
        elif version == self._candidate and state.progress.phase is Phase.STAGE:
            above_ms = state.progress.slow_above_ms
            slow = Tally() if above_ms is None else Tally(hits=int(latency_ms > above_ms), trials=1)
            self.add(Observations(candidate=counts, slow=slow))

    def _stable_p99_ms(self) -> float | None:
        if len(self._recent) < MIN_RECENT:
            return None
        return sorted(self._recent)[int(len(self._recent) * 0.99)]


def counts_of(execution: dict[str, Any]) -> ArmCounts:
    """Return one execution's counts; a timeout that the caller caused is nobody's."""
    status = execution["status"]
    is_caller = (execution.get("error") or {}).get("cut_by") == "caller"
    return ArmCounts(
        executions=1,
        errors=int(status in {"error", "memory", "violation"}),
        timeouts=int(status == "timeout" and not is_caller),
    )


def read_line(line: bytes) -> dict[str, Any] | None:
    """Return a log line's object, or None where it is none."""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) and "version" in document else None
