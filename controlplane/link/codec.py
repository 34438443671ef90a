"""Translate between the link's messages and our values: who an edge is and what it should reach.

What an edge sends is bounded here: counts of entries, lengths of names, sizes of numbers. Pure.
Never: translates telemetry; that is `telemetry_codec`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from uuid import UUID

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from loopai.control.v1 import link_pb2 as pb

from controlplane.errors import LinkMisused
from controlplane.fleet.edges import Greeting, TaskCondition, Wishes
from controlplane.fleet.targets import FleetState, Order, Target, TargetVersion, Trial

MAX_TASKS = 10_000
MAX_VERSION = 2**31 - 1
MAX_SEQUENCE = 2**63 - 1
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
FLOORS = {name: mode for mode, name in PRIVACY.items()}
COMMANDS = {
    "pause": pb.COMMAND_KIND_PAUSE,
    "resume": pb.COMMAND_KIND_RESUME,
    "abort": pb.COMMAND_KIND_ABORT,
    "force": pb.COMMAND_KIND_FORCE,
}


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
        for status in islice(statuses, MAX_TASKS)
        if 0 < len(status.task) <= 63
    }
    return list(found.values())


def refusals(refused: Mapping[str, str]) -> dict[str, str]:
    """Return which settings an edge kept out, and why."""
    return {key[:200]: reason[:500] for key, reason in islice(refused.items(), 100)}


def desired_state(
    state: FleetState,
    wishes: Wishes,
    *,
    deployment_id: str,
    issued_at: datetime,
    expires_at: datetime,
) -> bytes:
    """Return the serialised DesiredState, ready to be signed."""
    message = pb.DesiredState(
        sequence=state.sequence,
        issued_at=_timestamp(issued_at),
        expires_at=_timestamp(expires_at),
        deployment_id=deployment_id,
        tasks=[_desired_task(target) for target in state.targets],
        commands=[_command(order) for order in state.orders],
        privacy_floor=FLOORS.get(wishes.privacy_floor, pb.PRIVACY_MODE_UNSPECIFIED),
        settings_json=orjson.dumps(wishes.settings) if wishes.settings else b"",
    )
    return message.SerializeToString(deterministic=True)


def _desired_task(target: Target) -> pb.DesiredTask:
    task = pb.DesiredTask(
        task=target.task, revision=target.revision, stable=_desired_version(target.stable)
    )
    if target.trial is not None:
        task.candidate.CopyFrom(_desired_version(target.trial.candidate))
        task.plan.CopyFrom(_plan(target.trial))
    return task


def _desired_version(wanted: TargetVersion) -> pb.DesiredVersion:
    return pb.DesiredVersion(
        version=wanted.version,
        digest=wanted.digest,
        size_bytes=wanted.size_bytes,
        signature=wanted.signature,
    )


def _plan(trial: Trial) -> pb.RolloutPlan:
    plan = trial.plan
    return pb.RolloutPlan(
        rollout_id=trial.rollout_id,
        stages=[pb.RolloutStage(**stage) for stage in plan["stages"]],
        is_automatic=plan["is_automatic"],
        shadow_rate=plan["shadow_rate"],
        min_shadow_executions=plan["min_shadow_executions"],
        max_duration_s=plan["max_duration_s"],
    )


def _command(order: Order) -> pb.Command:
    return pb.Command(
        command_id=order.command_id,
        task=order.task,
        kind=COMMANDS[order.kind],
        reason=order.reason,
        subject=order.rollout_id,
    )


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
