"""The next step of a rollout: shadow → 10 % → 50 % → 100 % → promoted, or rolled back at any point.

Pure. Used by: the agent, after every few seconds of log; home, to explain. Never: reads a clock or
touches a route; the agent carries the action out and stores `Action.progress` before it does.

One look decides one thing, in this order:
1. A rollout that is over stays over.
2. ABORT rolls back.
3. A FAIL of any test rolls back: in the shadow, in a stage, paused, forced or not.
4. The oldest command not yet carried out: PAUSE, RESUME, or FORCE (one step, without evidence).
5. Paused waits. A shadow whose labels are spent without a verdict is withdrawn, as INCONCLUSIVE.
6. What is not yet shown waits: INCONCLUSIVE is no pass, and no traffic holds.
7. PASS goes one step on, if the plan leaves that to the edge.

The same plan, progress and observations give the same action, so a look repeated after a crash
repeats itself.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from edged.decisions.evidence import Evidence, Verdict
from edged.decisions.plan import Plan
from edged.decisions.progress import (
    ArmCounts,
    Command,
    CommandKind,
    Observations,
    Phase,
    Progress,
)
from edged.decisions.readiness import is_futile, judge, weigh


class ActionKind(StrEnum):
    WAIT = "wait"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What to do, why, and the progress to store; `progress.weight(plan)` is the share to route."""

    kind: ActionKind
    verdict: Verdict
    reason: str
    evidence: tuple[Evidence, ...]
    progress: Progress

    def as_json(self) -> dict[str, Any]:
        """Return the decision as it is stored and sent home."""
        return {
            "action": str(self.kind),
            "verdict": str(self.verdict),
            "reason": self.reason,
            "evidence": [evidence.as_json() for evidence in self.evidence],
            "progress": self.progress.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look: the state with the new counts in it, and what the tests say of it."""

    plan: Plan
    progress: Progress
    evidence: tuple[Evidence, ...]
    stable_p99_ms: float | None
    now_s: float

    def act(
        self, kind: ActionKind, verdict: Verdict, reason: str, progress: Progress | None = None
    ) -> Action:
        return Action(
            kind=kind,
            verdict=verdict,
            reason=reason,
            evidence=self.evidence,
            progress=progress or self.progress,
        )


def next_action(plan: Plan, progress: Progress, observations: Observations, now_s: float) -> Action:
    """Return the next step. now_s: seconds since the epoch; going back only delays.

    Raises ValueError when the progress is another rollout's.
    """
    if progress.rollout_id != plan.rollout_id:
        raise ValueError(f"progress of {progress.rollout_id} under plan {plan.rollout_id}")
    if progress.is_over:
        return _over(progress)
    counted = progress.add(observations, plan)
    look = _Look(
        plan=plan,
        progress=counted,
        evidence=weigh(plan, counted),
        stable_p99_ms=observations.stable_p99_ms,
        now_s=now_s,
    )
    return _decide(look, _open_command(counted, observations.commands))


def _over(progress: Progress) -> Action:
    return Action(
        kind=ActionKind.WAIT,
        verdict=Verdict.INCONCLUSIVE,
        reason=f"the rollout is over: {progress.phase}",
        evidence=(),
        progress=progress,
    )


def _open_command(progress: Progress, commands: tuple[Command, ...]) -> Command | None:
    """Return the oldest command to carry out; an ABORT goes before all others."""
    waiting = [c for c in commands if c.command_id not in progress.commands]
    aborts = [command for command in waiting if command.kind is CommandKind.ABORT]
    return next(iter(aborts + waiting), None)


def _decide(look: _Look, command: Command | None) -> Action:
    if command and command.kind is CommandKind.ABORT:
        return _obey(look, command)
    failed = [evidence for evidence in look.evidence if evidence.verdict is Verdict.FAIL]
    if failed:
        reason = "; ".join(evidence.words for evidence in failed)
        return _roll_back(look, Verdict.FAIL, reason)
    if command:
        return _obey(look, command)
    verdict, reason = judge(look.plan, look.progress, look.evidence, look.now_s)
    return _follow(look, verdict, reason)


def _follow(look: _Look, verdict: Verdict, reason: str) -> Action:
    """Return the step that the evidence allows, where nobody holds it."""
    if look.progress.is_paused:
        return look.act(ActionKind.WAIT, verdict, f"paused; {reason}")
    if is_futile(look.plan, look.progress, look.evidence):
        labels = look.progress.pairs.labels
        reason = f"no difference shown by {labels:,} labels; {reason}"
        return _roll_back(look, Verdict.INCONCLUSIVE, reason)
    if verdict is not Verdict.PASS:
        return look.act(ActionKind.WAIT, verdict, reason)
    if not look.plan.is_automatic:
        return look.act(ActionKind.WAIT, verdict, f"waits for a command; {reason}")
    return _step(look, verdict, reason)


def _obey(look: _Look, command: Command) -> Action:
    known = replace(look.progress, commands=(*look.progress.commands, command.command_id))
    look = replace(look, progress=known)
    reason = f"{command.kind} from home" + (f": {command.reason}" if command.reason else "")
    if command.kind is CommandKind.ABORT:
        return _roll_back(look, Verdict.INCONCLUSIVE, reason)
    if command.kind is CommandKind.FORCE:
        return _step(look, Verdict.INCONCLUSIVE, reason)
    is_pause = command.kind is CommandKind.PAUSE
    kind = ActionKind.PAUSE if is_pause else ActionKind.RESUME
    return look.act(kind, Verdict.INCONCLUSIVE, reason, replace(known, is_paused=is_pause))


def _roll_back(look: _Look, verdict: Verdict, reason: str) -> Action:
    ended = replace(look.progress, phase=Phase.ROLLED_BACK, is_paused=False)
    return look.act(ActionKind.ROLL_BACK, verdict, reason, ended)


def _step(look: _Look, verdict: Verdict, reason: str) -> Action:
    stage = look.progress.stage + 1
    if stage > len(look.plan.stages):
        ended = replace(look.progress, phase=Phase.PROMOTED, is_paused=False)
        return look.act(ActionKind.PROMOTE, verdict, reason, ended)
    return look.act(ActionKind.ADVANCE, verdict, reason, _enter(look, stage))


def _enter(look: _Look, number: int) -> Progress:
    """Return the progress at the start of a stage: counts from zero, what slow means set anew."""
    before, stable = look.progress, ArmCounts()
    if look.plan.stage(number).weight >= 1:
        # Errors and timeouts are the program's, so older ones still compare. Wrong answers move
        # with the traffic: without both arms beside each other they would blame a drift on it.
        stable = replace(before.stable, labels=0, failures=0)
    above_ms = before.slow_above_ms
    if look.stable_p99_ms is not None:
        above_ms = look.plan.tolerances.slow_above_ms(look.stable_p99_ms)
    return Progress(
        rollout_id=before.rollout_id,
        phase=Phase.STAGE,
        stage=number,
        started_at_s=look.now_s,
        stable=stable,
        slow_above_ms=above_ms,
        is_paused=before.is_paused,
        commands=before.commands,
    )
