"""The batch that is being filled: counts by arm, records, and what had to be dropped.

Runs in: the agent. Never: takes a record that did not pass the privacy filter.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from loopai.control.v1 import link_pb2 as wire

from edged.agent.counting import ArmCount, ArmKey
from edged.agent.privacy.modes import Mode
from edged.agent.releasing import Record

MODES = {
    Mode.STRICT: wire.PRIVACY_MODE_STRICT,
    Mode.BALANCED: wire.PRIVACY_MODE_BALANCED,
    Mode.PERMISSIVE: wire.PRIVACY_MODE_PERMISSIVE,
}


class OpenBatch:
    """opened_s: on the batcher's clock. is_urgent: somebody waits for what is in it.

    filters: fingerprints of those its records passed; home may tighten before it is sealed.
    """

    def __init__(self, opened_s: float) -> None:
        self.opened_s = opened_s
        self.is_urgent = False
        self.filters: set[str] = set()
        self.executions = 0
        self.records = 0
        self.record_bytes = 0
        self.dropped: Counter[str] = Counter()
        self._arms: dict[ArmKey, ArmCount] = {}
        self._message = wire.TelemetryBatch()
        self._by_id: dict[str, wire.ExecutionSummary] = {}

    @property
    def is_empty(self) -> bool:
        return not (self.executions or self.records or self.dropped)

    def count(self, execution: Mapping[str, Any], output_name: str) -> None:
        """Raises KeyError, TypeError or ValueError for what is no execution, and counts nothing."""
        key = execution["task"], execution["version"], execution["arm"]
        arm = self._arms.get(key) or ArmCount()
        arm.add(execution, output_name)
        self._arms[key] = arm
        self.executions += 1

    def add_execution(self, record: wire.ExecutionSummary) -> None:
        """Add a record; one that is there already only learns how it was drawn."""
        known = self._by_id.get(record.execution_id)
        if known is not None:
            known.is_sampled |= record.is_sampled
            known.channel = known.channel or record.channel
            known.inclusion_probability = max(
                known.inclusion_probability, record.inclusion_probability
            )
            return
        self._message.executions.append(record)
        self._by_id[record.execution_id] = self._message.executions[-1]
        self.records += 1
        self.record_bytes += record.ByteSize()

    def add_validation(self, record: Record) -> None:
        self.add_execution(record.execution)
        self._message.validations.append(record.validation)
        self.record_bytes += record.validation.ByteSize()

    def add_decision(self, decision: wire.Decision) -> None:
        self._message.decisions.append(decision)
        self.records += 1
        self.is_urgent = True  # people watch a rollout; the next step waits for no minute

    def forget(self, task: str, execution_ids: frozenset[str]) -> int:
        """Take out the records of these executions; their counts stay. Returns how many went."""
        gone = forget_records(self._message, task, execution_ids)
        self._by_id = {each.execution_id: each for each in self._message.executions}
        return gone

    def filtered_by(self, fingerprint: str) -> str:
        """Return the fingerprint if every record passed that filter; "": filter them again."""
        return fingerprint if self.filters <= {fingerprint} else ""

    def finished(self, log_id: str, number: int, mode: Mode, sealed_at_s: float) -> bytes:
        """Return the serialised TelemetryBatch; may be asked for again when it was not stored."""
        message = self._message
        del message.arms[:]
        message.log_id = log_id
        message.number = number
        message.privacy_mode = MODES[mode]
        message.sealed_at.FromNanoseconds(int(sealed_at_s * 1e9))
        message.arms.extend(arm.summary(key) for key, arm in self._arms.items())
        for reason, count in self.dropped.items():
            message.dropped[reason] = count
        return message.SerializeToString()


def forget_records(batch: wire.TelemetryBatch, task: str, execution_ids: frozenset[str]) -> int:
    """Take the records of these executions out of a batch; returns how many went."""
    before = len(batch.executions) + len(batch.validations)
    executions = [each for each in batch.executions if not _is_one(each, task, execution_ids)]
    validations = [each for each in batch.validations if not _is_one(each, task, execution_ids)]
    del batch.executions[:], batch.validations[:]
    batch.executions.extend(executions)
    batch.validations.extend(validations)
    return before - len(executions) - len(validations)


def _is_one(
    record: wire.ExecutionSummary | wire.Validation, task: str, execution_ids: frozenset[str]
) -> bool:
    return record.task == task and record.execution_id in execution_ids
