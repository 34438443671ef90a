"""Count executions by arm, for one telemetry batch.

Runs in: the agent. Never: keeps an input or an output; an output is counted under its name.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ddsketch import DDSketch
from ddsketch.pb.proto import DDSketchProto
from loopai.control.v1 import link_pb2 as wire

SKETCH_ACCURACY = 0.01  # relative: a p99 of 10 ms is told as 9.9 to 10.1
CONFIDENCE_BINS = 10
MAX_OUTPUTS = 200  # names in one batch; free texts are all different
OTHER = "other"
HELD = 4_096  # latencies that wait to be sketched: many are equal, and cost one step together

ArmKey = tuple[str, int, str]  # task, version, arm


class ArmCount:
    """Everything counted of one arm since the last batch."""

    def __init__(self) -> None:
        self.executions = 0
        self.outcomes: dict[str, int] = {}
        self.outputs: dict[str, int] = {}
        self._latency = DDSketch(SKETCH_ACCURACY)
        self._held_ms: list[float] = []
        self.confidence_bins = [0] * CONFIDENCE_BINS
        self.caller_timeouts = 0

    def add(self, execution: Mapping[str, Any], output_name: str) -> None:
        """output_name: "" counts no output.

        Raises KeyError, TypeError or ValueError for what is no execution, and counts nothing.
        """
        status, latency_ms = execution["status"], float(execution["latency_ms"])
        confidence = execution.get("confidence")
        at = None if confidence is None else _bin(float(confidence))
        self.executions += 1
        self.outcomes[status] = self.outcomes.get(status, 0) + 1
        self._held_ms.append(latency_ms)
        if len(self._held_ms) >= HELD:
            self._sketch_held()
        if at is not None:
            self.confidence_bins[at] += 1
        if output_name:
            self._add_output(output_name)
        if (execution.get("error") or {}).get("cut_by") == "caller":
            self.caller_timeouts += 1

    def _add_output(self, name: str) -> None:
        if name not in self.outputs and len(self.outputs) >= MAX_OUTPUTS:
            name = OTHER
        self.outputs[name] = self.outputs.get(name, 0) + 1

    def _sketch_held(self) -> None:
        held_ms, self._held_ms = self._held_ms, []
        for latency_ms, count in Counter(held_ms).items():
            self._latency.add(latency_ms, count)

    def summary(self, key: ArmKey) -> wire.ArmSummary:
        self._sketch_held()
        task, version, name = key
        return wire.ArmSummary(
            task=task,
            version=version,
            arm=name,
            executions=self.executions,
            outcomes=self.outcomes,
            latency_sketch=DDSketchProto.to_proto(self._latency).SerializeToString(),
            confidence_bins=self.confidence_bins,
            output_mix=self.outputs,
            caller_timeouts=self.caller_timeouts,
        )


def _bin(confidence: float) -> int:
    return min(max(int(confidence * CONFIDENCE_BINS), 0), CONFIDENCE_BINS - 1)
