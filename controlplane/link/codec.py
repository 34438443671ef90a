"""Translate between the link's messages and our values; the only place that knows both.

What an edge sends is bounded here: counts of entries, lengths of names, sizes of numbers. Pure.
Never: refuses a batch for one bad entry, because the edge would send it again for ever.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from loopai.control.v1 import link_pb2 as pb

from controlplane.errors import LinkMisused
from controlplane.fleet.edges import Greeting, TaskCondition
from controlplane.fleet.targets import FleetState, Target
from controlplane.telemetry.values import ArmCount, Batch, Sample

log = structlog.get_logger()
Entry = TypeVar("Entry")

MAX_TASKS = 10_000
MAX_ARMS = 1_000
MAX_SAMPLES = 20_000
MAX_COUNT = 2**53  # more executions than any edge can have run in one batch
MAX_VERSION = 2**31 - 1
MAX_SEQUENCE = 2**63 - 1
BINS = (0, 10)
STATES = {
    pb.APPLY_STATE_APPLYING: "applying",
    pb.APPLY_STATE_APPLIED: "applied",
    pb.APPLY_STATE_FAILED: "failed",
}
PRIVACY = {
    pb.PRIVACY_MODE_PERMISSIVE: "permissive",
    pb.PRIVACY_MODE_BALANCED: "balanced",
    pb.PRIVACY_MODE_STRICT: "strict",
}
OUTCOMES = {"success", "error", "timeout", "memory", "violation"}


def greeting(hello: pb.Hello) -> Greeting:
    """Raises LinkMisused for an identity that is no UUID."""
    try:
        deployment_id = str(UUID(hello.deployment_id))
    except ValueError as error:
        raise LinkMisused(reason="hello.deployment_id: must be a UUID") from error
    return Greeting(
        deployment_id=deployment_id,
        edge_version=hello.edge_version[:63],
        log_id=hello.log_id[:63],
        privacy_mode=PRIVACY.get(hello.privacy_mode, ""),
        applied_sequence=min(hello.last_applied_sequence, MAX_SEQUENCE),
    )


def conditions(statuses: Iterable[pb.TaskStatus]) -> list[TaskCondition]:
    """Leave out what names no task; the last word on a task wins."""
    found = {
        status.task: TaskCondition(
            task=status.task,
            state=STATES.get(status.state, "unknown"),
            serving_version=min(status.serving_version, MAX_VERSION),
            target_version=min(status.target_version, MAX_VERSION),
            stage=min(status.stage, 100),
            reason=status.reason[:2_000],
        )
        for status in _first(statuses, MAX_TASKS)
        if 0 < len(status.task) <= 63
    }
    return list(found.values())


def desired_state(
    state: FleetState, *, deployment_id: str, issued_at: datetime, expires_at: datetime
) -> bytes:
    """Return the serialised DesiredState, ready to be signed."""
    message = pb.DesiredState(
        sequence=state.sequence,
        issued_at=_timestamp(issued_at),
        expires_at=_timestamp(expires_at),
        deployment_id=deployment_id,
        tasks=[_desired_task(target) for target in state.targets],
    )
    return message.SerializeToString(deterministic=True)


def batch(message: pb.TelemetryBatch, *, received_at: datetime) -> Batch:
    """Raises LinkMisused for a batch without log_id, or a number out of range."""
    if not 0 < len(message.log_id) <= 63:
        raise LinkMisused(reason="telemetry.log_id: must have 1 to 63 characters")
    if message.number > MAX_SEQUENCE:
        raise LinkMisused(reason="telemetry.number: out of range")
    if message.validations or message.decisions:
        # No edge sends these yet; should a newer one do, its operator must be able to see why
        # nothing of them appears here.
        log.warning(
            "telemetry_not_kept",
            edge=message.deployment_id,
            validations=len(message.validations),
            decisions=len(message.decisions),
        )
    has_time = message.HasField("sealed_at")
    return Batch(
        log_id=message.log_id,
        number=message.number,
        sealed_at=_moment(message.sealed_at) if has_time else received_at,
        arms=[_arm(arm) for arm in _first(message.arms, MAX_ARMS) if _is_arm(arm)],
        samples=[
            _sample(record)
            for record in _first(message.executions, MAX_SAMPLES)
            if _is_sample(record)
        ],
        dropped=_counts(message.dropped, limit=100),
    )


def _desired_task(target: Target) -> pb.DesiredTask:
    return pb.DesiredTask(
        task=target.task,
        revision=target.revision,
        stable=pb.DesiredVersion(
            version=target.version,
            digest=target.digest,
            size_bytes=target.size_bytes,
            signature=target.signature,
        ),
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
        executed_at=_moment(record.executed_at),
    )


def _text(content: bytes) -> str | None:
    # PostgreSQL stores no NUL in text; JSON writes it as \u0000, so none is lost.
    return content.decode(errors="replace").replace("\0", "") if content else None


def _counts(counts: Mapping[str, int], *, limit: int) -> dict[str, int]:
    return {name[:256]: min(count, MAX_COUNT) for name, count in _first(counts.items(), limit)}


def _first(entries: Iterable[Entry], limit: int) -> list[Entry]:
    return [entry for _, entry in zip(range(limit), entries, strict=False)]


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _moment(stamp: Timestamp) -> datetime:
    """Return the time; one that no calendar holds becomes 1970."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, tz=UTC)
