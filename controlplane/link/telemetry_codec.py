"""Translate what edges report into our values; the only place that knows both.

Everything is bounded here: counts of entries, lengths of names, sizes of numbers. Pure.
Never: refuses a batch for one bad entry, because the edge would send it again for ever.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from loopai.control.v1 import link_pb2 as pb

from controlplane.errors import LinkMisused
from controlplane.link.codec import MAX_SEQUENCE, MAX_VERSION
from controlplane.telemetry.erasing import Erasure
from controlplane.telemetry.values import ArmCount, Batch, Decision, Sample, Validation

log = structlog.get_logger()

MAX_ARMS = 1_000
MAX_RECORDS = 20_000  # of each kind
MAX_COUNT = 2**53  # more executions than any edge can have run in one batch
MAX_EVIDENCE_BYTES = 64 * 1024
BINS = (0, 10)
OUTCOMES = {"success", "error", "timeout", "memory", "violation"}


def batch(message: pb.TelemetryBatch, *, received_at: datetime) -> Batch:
    """Raises LinkMisused for a batch without log_id, or a number out of range."""
    if not 0 < len(message.log_id) <= 63:
        raise LinkMisused(reason="telemetry.log_id: must have 1 to 63 characters")
    if message.number > MAX_SEQUENCE:
        raise LinkMisused(reason="telemetry.number: out of range")
    has_time = message.HasField("sealed_at")
    return Batch(
        log_id=message.log_id,
        number=message.number,
        sealed_at=moment(message.sealed_at) if has_time else received_at,
        arms=[_arm(arm) for arm in islice(message.arms, MAX_ARMS) if _is_arm(arm)],
        samples=[
            _sample(record)
            for record in islice(message.executions, MAX_RECORDS)
            if _is_sample(record)
        ],
        dropped=_counts(message.dropped, limit=100),
        validations=[
            _validation(record)
            for record in islice(message.validations, MAX_RECORDS)
            if _is_validation(record)
        ],
        decisions=[
            _decision(record)
            for record in islice(message.decisions, MAX_RECORDS)
            if _is_decision(record)
        ],
    )


def erasure(message: pb.ErasureRequest) -> Erasure:
    """Raises LinkMisused: unlike a batch, what should be erased must not be passed over."""
    if not 0 < len(message.erasure_id) <= 36 or not 0 < len(message.task) <= 63:
        raise LinkMisused(reason="erasure: must name itself and a task")
    if len(message.execution_ids) > MAX_RECORDS:
        raise LinkMisused(reason=f"erasure.execution_ids: at most {MAX_RECORDS} a part")
    return Erasure(
        erasure_id=message.erasure_id,
        part=message.part,
        task=message.task,
        execution_ids=[each[:36] for each in message.execution_ids],
    )


def _is_arm(arm: pb.ArmSummary) -> bool:
    is_sound = (
        0 < len(arm.task) <= 63
        and 0 < len(arm.arm) <= 16
        and arm.version <= MAX_VERSION
        and arm.executions <= MAX_COUNT
        and len(arm.confidence_bins) in BINS
    )
    if not is_sound:
        log.warning("telemetry_arm_refused", task=arm.task[:63], arm=arm.arm[:16])
    return is_sound


def _arm(arm: pb.ArmSummary) -> ArmCount:
    return ArmCount(
        task=arm.task,
        version=arm.version,
        arm=arm.arm,
        executions=arm.executions,
        outcomes={
            name: count
            for name, count in _counts(arm.outcomes, limit=100).items()
            if name in OUTCOMES
        },
        caller_timeouts=min(arm.caller_timeouts, MAX_COUNT),
        latency_sketch=arm.latency_sketch,
        confidence_bins=[min(count, MAX_COUNT) for count in arm.confidence_bins],
        output_mix=_counts(arm.output_mix, limit=10_000),
    )


def _is_sample(record: pb.ExecutionSummary) -> bool:
    is_sound = (
        0 < len(record.execution_id) <= 36
        and 0 < len(record.task) <= 63
        and record.version <= MAX_VERSION
        and record.outcome in OUTCOMES
    )
    if not is_sound:
        log.warning("telemetry_sample_refused", task=record.task[:63])
    return is_sound


def _sample(record: pb.ExecutionSummary) -> Sample:
    return Sample(
        execution_id=record.execution_id,
        task=record.task,
        version=record.version,
        arm=record.arm[:16],
        outcome=record.outcome,
        latency_ms=record.latency_ms,
        confidence=record.confidence if record.HasField("confidence") else None,
        input_json=_text(record.input_json),
        output_json=_text(record.output_json),
        executed_at=moment(record.executed_at),
        channel=record.channel[:16],
        inclusion_probability=_share(record.inclusion_probability),
        input_hash=record.input_hash[:64] or None,
        output_index=_index(record.output_index) if record.HasField("output_index") else None,
        output_hash=record.output_hash[:64] or None,
        erased=[entry[:200] for entry in islice(record.erased, 100)],
    )


def _is_validation(record: pb.Validation) -> bool:
    is_sound = (
        0 < len(record.execution_id) <= 36
        and 0 < len(record.task) <= 63
        and record.version <= MAX_VERSION
        and record.outcome in OUTCOMES
    )
    if not is_sound:
        log.warning("telemetry_validation_refused", task=record.task[:63])
    return is_sound


def _validation(record: pb.Validation) -> Validation:
    has_index = record.HasField("oracle_output_index")
    return Validation(
        validation_id=record.validation_id[:36],
        execution_id=record.execution_id,
        task=record.task,
        version=record.version,
        arm=record.arm[:16],
        oracle=record.oracle[:63],
        is_match=record.is_match,
        outcome=record.outcome,
        channel=record.channel[:16],
        inclusion_probability=_share(record.inclusion_probability),
        oracle_output_json=_text(record.oracle_output_json),
        oracle_output_index=_index(record.oracle_output_index) if has_index else None,
        oracle_output_hash=record.oracle_output_hash[:64] or None,
        oracle_cost=_finite(record.oracle_cost),
        oracle_latency_ms=_finite(record.oracle_latency_ms),
        similarity_score=_finite(record.similarity_score),
        comparison_method=record.comparison_method[:16],
        validated_at=moment(record.validated_at),
    )


def _is_decision(record: pb.Decision) -> bool:
    is_sound = (
        0 < len(record.decision_id) <= 36
        and 0 < len(record.rollout_id) <= 36
        and 0 < len(record.task) <= 63
        and record.version <= MAX_VERSION
    )
    if not is_sound:
        log.warning("telemetry_decision_refused", task=record.task[:63])
    return is_sound


def _decision(record: pb.Decision) -> Decision:
    return Decision(
        decision_id=record.decision_id,
        rollout_id=record.rollout_id,
        task=record.task,
        version=record.version,
        stage=min(record.stage, 100),
        phase=record.phase[:16],
        verdict=record.verdict[:16],
        action=record.action[:16],
        reason=_words(record.reason, 2_000),
        evidence_json=_evidence(record.evidence_json),
        decided_at=moment(record.decided_at),
    )


def _evidence(content: bytes) -> str:
    """Return it whole or not at all: a part of a JSON text is none."""
    return (_text(content) if len(content) <= MAX_EVIDENCE_BYTES else None) or "[]"


def _share(value: float) -> float:
    return value if 0 <= value <= 1 else 0.0


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _index(value: int) -> int:
    return min(value, MAX_VERSION)


def _words(text: str, limit: int) -> str:
    return text[:limit].replace("\0", "")


def _text(content: bytes) -> str | None:
    # PostgreSQL stores no NUL in text; JSON writes it as \u0000, so none is lost.
    return content.decode(errors="replace").replace("\0", "") if content else None


def _counts(counts: Mapping[str, int], *, limit: int) -> dict[str, int]:
    return {name[:256]: min(count, MAX_COUNT) for name, count in islice(counts.items(), limit)}


def moment(stamp: Timestamp) -> datetime:
    """Return the time; one that no calendar holds becomes 1970."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, tz=UTC)
