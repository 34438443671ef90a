"""Read rollout plans and commands off the wire.

Pure codec. Never: keeps a message beyond the call.
"""

from collections.abc import Iterable

from loopai.control.v1 import link_pb2 as wire

from edged.decisions.plan import Plan, Shadow, Stage
from edged.decisions.progress import Command, CommandKind
from edged.errors import LoopaiError

KINDS = {
    wire.COMMAND_KIND_PAUSE: CommandKind.PAUSE,
    wire.COMMAND_KIND_RESUME: CommandKind.RESUME,
    wire.COMMAND_KIND_ABORT: CommandKind.ABORT,
    wire.COMMAND_KIND_FORCE: CommandKind.FORCE,
}


class PlanInvalid(LoopaiError):
    code = "plan_invalid"
    text = "the rollout's plan cannot be followed: {reason}"


def read_plan(plan: wire.RolloutPlan) -> Plan:
    """Return the plan. Raises PlanInvalid."""
    try:
        return Plan(
            rollout_id=plan.rollout_id,
            stages=tuple(
                Stage(
                    weight=stage.weight,
                    min_executions=max(1, stage.min_executions),
                    min_duration_s=stage.min_duration_s,
                )
                for stage in plan.stages
            ),
            shadow=Shadow(min_pairs=max(1, plan.min_shadow_executions))
            if plan.shadow_rate
            else None,
            is_automatic=plan.is_automatic,
        )
    except ValueError as error:
        raise PlanInvalid(reason=error) from error


def read_commands(commands: Iterable[wire.Command], rollout_id: str) -> tuple[Command, ...]:
    """Return the commands for one rollout, in home's order."""
    return tuple(
        Command(command_id=command.command_id, kind=KINDS[command.kind], reason=command.reason)
        for command in commands
        if command.subject == rollout_id and command.kind in KINDS
    )
