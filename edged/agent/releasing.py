"""Turn lines of the logs into what may travel home, through the privacy filter.

Runs in: the agent. Talks to: the privacy filter, the audit log. Never: lets out a record whose
filtering failed, or one that the audit log could not note.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from loopai.control.v1 import link_pb2 as wire

from edged.agent.privacy.audit import AuditLog, Sent
from edged.agent.privacy.filter import PrivacyFilter, Released
from edged.agent.privacy.modes import Mode
from edged.artifacts.manifest import Manifest
from edged.datasets.layout import Layout
from edged.errors import ArtifactInvalid

KNOWN_VERSIONS = 256
NO_SCHEMA: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Record:
    """One validation with its execution, as they may leave."""

    execution: wire.ExecutionSummary
    validation: wire.Validation

    @property
    def size_bytes(self) -> int:
        return self.execution.ByteSize() + self.validation.ByteSize()


class Releaser:
    """Owns the filter, which home may tighten at any time."""

    def __init__(self, layout: Layout, privacy: PrivacyFilter, audit: AuditLog) -> None:
        self._layout = layout
        self._privacy = privacy
        self._audit = audit
        self._output_schema = lru_cache(KNOWN_VERSIONS)(self._read_output_schema)

    @property
    def privacy(self) -> PrivacyFilter:
        """Return the filter in force now."""
        return self._privacy

    @property
    def mode(self) -> Mode:
        return self._privacy.mode

    def tighten(self, floor: Mode) -> None:
        self._privacy = self._privacy.with_floor(floor)

    def release(self, line: Mapping[str, Any]) -> Record:
        """Return a line of the validation log as it may leave.

        Raises Withheld, or LogUnwritable when what leaves cannot be noted.
        """
        schema = self._output_schema(line["task"], line["version"])
        output = None if line["output"] is None else orjson.dumps(line["output"])
        released = self._privacy.release(orjson.dumps(line["input"]), output, schema)
        record = Record(_execution(line, released), self._validation(line, schema))
        self._audit.append(
            [
                Sent(
                    what="validation",
                    mode=self.mode,
                    size_bytes=record.size_bytes,
                    execution_id=line["execution_id"],
                    erased=released.erased,
                )
            ]
        )
        return record

    def decision(self, line: Mapping[str, Any]) -> wire.Decision:
        """Return a line of the decision log; it holds counts and words of ours, no data."""
        reason = line["reason"]
        if self.mode is Mode.STRICT and not line["evidence"]:
            reason = self._privacy.reason(reason)  # an error's text might quote an input
        return wire.Decision(
            decision_id=line["decision_id"],
            rollout_id=line["rollout_id"],
            task=line["task"],
            version=line["version"],
            stage=line["stage"],
            phase=line["phase"],
            verdict=line["verdict"],
            action=line["action"],
            reason=reason,
            evidence_json=orjson.dumps(line["evidence"]),
            decided_at=_timestamp(line["decided_at"]),
        )

    def _validation(self, line: Mapping[str, Any], schema: dict[str, Any]) -> wire.Validation:
        validation = wire.Validation(
            validation_id=line["id"],
            execution_id=line["execution_id"],
            task=line["task"],
            version=line["version"],
            arm=line["arm"],
            validated_at=_timestamp(line["validated_at"]),
            oracle=line["oracle"],
            oracle_cost=line["oracle_cost"],
            oracle_latency_ms=line["oracle_latency_ms"],
            is_match=line["match"],
            similarity_score=line["similarity_score"],
            comparison_method=line["comparison_method"],
            channel=line["channel"],
            inclusion_probability=line["inclusion_probability"] or 0.0,
            outcome=line["status"],
        )
        if line["oracle_output"] is not None:
            truth = self._privacy.release_output(orjson.dumps(line["oracle_output"]), schema)
            validation.oracle_output_json = truth.json or b""
            validation.oracle_output_hash = truth.hash
            if truth.index is not None:
                validation.oracle_output_index = truth.index
        return validation

    def _read_output_schema(self, task: str, version: int) -> dict[str, Any]:
        try:
            path = self._layout.version(task, version) / "metadata.json"
            return Manifest.parse(path.read_bytes()).output_schema
        except (OSError, ArtifactInvalid):
            return NO_SCHEMA


def _execution(line: Mapping[str, Any], released: Released) -> wire.ExecutionSummary:
    summary = wire.ExecutionSummary(
        execution_id=line["execution_id"],
        task=line["task"],
        version=line["version"],
        arm=line["arm"],
        executed_at=_timestamp(line["executed_at"]),
        input_hash=released.input_hash,
        input_json=released.input_json or b"",
        output_json=released.output_json or b"",
        output_hash=released.output_hash or b"",
        outcome=line["status"],
        is_sampled=True,
        confidence=line["confidence"],
        erased=[str(erasure) for erasure in released.erased],
        channel=line["channel"],
        inclusion_probability=line["inclusion_probability"] or 0.0,
    )
    if released.output_index is not None:
        summary.output_index = released.output_index
    return summary


def _timestamp(text: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(text))
    return stamp
