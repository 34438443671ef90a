"""Carry rollouts from shadow over the stages to promotion, or back; this edge alone owns the stage.

Runs in: the agent, with or without a connection home. Talks to: the logs, the shadow, the applier,
state/rollouts. Never: carries out a decision before it is written down, with its progress.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from edged.agent.applier import Applier, Target
from edged.agent.decisions_log import DecisionLog
from edged.agent.observing import Observer, read_line
from edged.agent.rollout_file import KNOWN_LABELS, RolloutFolder, RolloutState
from edged.agent.shadow import Shadow, reason_of
from edged.agent.store import StoredVersion
from edged.artifacts.manifest import Digest
from edged.datasets.follower import Follower
from edged.datasets.layout import Layout
from edged.decisions.evidence import Verdict
from edged.decisions.plan import Plan
from edged.decisions.progress import Command, Phase, begin
from edged.decisions.rollout import Action, ActionKind, next_action
from edged.errors import LoopaiError
from edged.sandbox.refusals import ProgramRefused

log = structlog.get_logger()
LOOK_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What home wants of one task: a candidate beside the stable version, under a plan."""

    stable: StoredVersion
    candidate: StoredVersion
    plan: Plan
    commands: tuple[Command, ...] = ()


@dataclass(slots=True)
class _Running:
    """A rollout in memory; `state` is always what the file holds."""

    state: RolloutState
    observer: Observer


class Rollouts:
    """All rollouts of this edge. clock: seconds since the epoch."""

    def __init__(
        self,
        layout: Layout,
        applier: Applier,
        shadow: Shadow,
        decisions: DecisionLog,
        clock: Callable[[], float],
    ) -> None:
        self._layout = layout
        self._applier = applier
        self._shadow = shadow
        self._decisions = decisions
        self._clock = clock
        self._unfit: dict[Digest, str] = {}
        self._folder = RolloutFolder(layout)
        self._running = {state.task: self._resume(state) for state in self._folder.read_all()}

    async def run(self) -> None:
        """Look at every rollout, again and again."""
        try:
            for running in list(self._running.values()):
                await self._catch_up(running)
            while True:
                for running in list(self._running.values()):
                    await self._look(running)
                await asyncio.sleep(LOOK_INTERVAL_S)
        finally:
            self._decisions.close()

    def target(self, trial: Trial) -> Target:
        """Return the task's arms as of now; begins the rollout when it is new here."""
        running = self._running.get(trial.candidate.task)
        if running is None or running.state.plan.rollout_id != trial.plan.rollout_id:
            running = self._begin(trial)
        else:
            plan = replace(running.state.plan, is_automatic=trial.plan.is_automatic)
            self._keep(running, replace(running.state, commands=trial.commands, plan=plan))
        return target_of(running.state)

    def retire(self, tasks_on_trial: Sequence[str]) -> None:
        """Forget the rollouts that home's state no longer names."""
        for task in self._running.keys() - set(tasks_on_trial):
            self._shadow.forget(self._running.pop(task).state)
            self._folder.remove(task)

    def refuse(self, digest: Digest, reason: str) -> None:
        """Have the rollout of this candidate end at the next look: the edge runs it no more."""
        self._unfit[digest] = reason

    def stage(self, task: str) -> int:
        """Return the task's stage, counted from 1; 0 without traffic."""
        running = self._running.get(task)
        return running.state.progress.stage if running else 0

    def versions_in_use(self) -> set[tuple[str, int]]:
        """Return task and version of everything that a rollout may still turn to."""
        states = [running.state for running in self._running.values()]
        return {(v.task, v.version) for state in states for v in (state.stable, state.candidate)}

    def acknowledged(self, kind: str, task: str, key: str) -> int | None:
        """Return up to where a file is counted; see edged.agent.retention."""
        running = self._running.get(task)
        if running is None or running.state.progress.is_over:
            return None
        state = running.state
        positions = {"executions": state.executions, "validations": state.validations}.get(kind)
        return None if positions is None else positions.get(key, 0)

    taken = acknowledged

    def forget(self, kind: str, key: str) -> None:
        """Keep the position: it goes with the rollout."""

    def _begin(self, trial: Trial) -> _Running:
        task = trial.candidate.task
        state = RolloutState(
            plan=trial.plan,
            progress=begin(trial.plan, now_s=self._clock()),
            stable=trial.stable,
            candidate=trial.candidate,
            executions=Follower(self._layout, "executions", {}, task=task).ends(),
            validations=Follower(self._layout, "validations", {}, task=task).ends(),
            commands=trial.commands,
        )
        self._folder.write(state)
        log.info("rollout_begun", task=task, version=trial.candidate.version)
        self._running[task] = self._resume(state)
        return self._running[task]

    def _resume(self, state: RolloutState) -> _Running:
        recent = Follower(self._layout, "executions", {}, task=state.task).tail()
        return _Running(state, Observer(state, recent))

    async def _look(self, running: _Running) -> None:
        """Count what is new, decide, write down, carry out. A failure is said and tried again."""
        if running.state.progress.is_over:
            return
        unfit = self._unfit.get(running.state.candidate.digest)
        if unfit is not None:
            await self._carry_out(running, running.state, _refused(running.state, unfit))
            return
        try:
            state = await self._count(running)
            action = self._decide(running, state)
        except (ProgramRefused, LoopaiError) as error:
            if isinstance(error, LoopaiError) and error.retryable:
                log.warning("rollout_waits", task=running.state.task, reason=str(error))
                return
            state, action = running.state, _refused(running.state, reason_of(error))
        await self._carry_out(running, state, action)

    async def _count(self, running: _Running) -> RolloutState:
        """Return the state, as it is by then, with positions moved over what was counted."""
        before = running.state
        running.observer.take()  # of a look that failed: all of it is read again
        executions = Follower(self._layout, "executions", dict(before.executions), task=before.task)
        for chunk in executions.read():
            running.observer.add_executions(chunk, before)
            executions.commit(chunk)
            await asyncio.sleep(0)
        validations = Follower(
            self._layout, "validations", dict(before.validations), task=before.task
        )
        labelled = dict.fromkeys(before.labelled)
        for chunk in validations.read():
            for line in chunk.lines:
                await self._count_validation(running, line, labelled)
            validations.commit(chunk)
        # Home's commands may have come meanwhile: they are in the state of now.
        return replace(
            running.state,
            executions=executions.positions,
            validations=validations.positions,
            labelled=tuple(labelled)[-KNOWN_LABELS:],
        )

    async def _count_validation(
        self, running: _Running, line: bytes, labelled: dict[str, None]
    ) -> None:
        """labelled: ids of validations that have counted; takes this one's."""
        validation = read_line(line)
        if validation is None or validation.get("channel") != "audit":
            return
        identifier = validation.get("id", "")
        if identifier in labelled:
            return
        labelled[identifier] = None
        if running.state.progress.phase is Phase.SHADOW:
            seen = await self._shadow.compare(running.state, validation)
            if seen is not None:
                running.observer.add(seen)
        else:
            running.observer.add_labels(validation)

    def _decide(self, running: _Running, state: RolloutState) -> Action:
        observations = replace(running.observer.take(), commands=state.commands)
        return next_action(state.plan, state.progress, observations, self._clock())

    async def _carry_out(self, running: _Running, state: RolloutState, action: Action) -> None:
        if not self._is_current(running):  # withdrawn since: its file must not come back
            self._shadow.forget(state)
            return
        if action.kind is not ActionKind.WAIT:
            self._decisions.append(state, action)
        self._keep(running, replace(state, progress=action.progress))
        if action.kind is ActionKind.WAIT:
            return
        log.info(
            "rollout_step",
            task=state.task,
            version=state.candidate.version,
            action=str(action.kind),
            verdict=str(action.verdict),
            stage=action.progress.stage,
            reason=action.reason,
        )
        if action.progress.phase is not Phase.SHADOW:
            self._shadow.forget(state)
        await self._route(running)

    async def _catch_up(self, running: _Running) -> None:
        """Route what was decided, where a kill or a full disk came in between."""
        route = self._applier.routes.tasks.get(running.state.task)
        if route is not None and route.arms != target_of(running.state).arms:
            await self._route(running)

    async def _route(self, running: _Running) -> None:
        """Make the gateway serve the weights; a candidate that it refuses is rolled back."""
        task = running.state.task
        report = await self._applier.replace(task, lambda: self._target_of(running))
        if report is None or report.state == "APPLIED" or running.state.progress.is_over:
            return
        await self._carry_out(running, running.state, _refused(running.state, report.reason))

    def _target_of(self, running: _Running) -> Target | None:
        return target_of(running.state) if self._is_current(running) else None

    def _is_current(self, running: _Running) -> bool:
        return self._running.get(running.state.task) is running

    def _keep(self, running: _Running, state: RolloutState) -> None:
        self._folder.write(state)
        running.state = state


def target_of(state: RolloutState) -> Target:
    """Return the arms that a rollout's progress asks for."""
    weight = state.progress.weight(state.plan)
    if state.progress.phase is Phase.PROMOTED:
        return Target.of(state.candidate)
    return Target.of(state.stable, state.candidate, weight)


def _refused(state: RolloutState, reason: str) -> Action:
    ended = replace(state.progress, phase=Phase.ROLLED_BACK, is_paused=False)
    return Action(
        kind=ActionKind.ROLL_BACK,
        verdict=Verdict.FAIL,
        reason=f"the candidate cannot be served: {reason}",
        evidence=(),
        progress=ended,
    )
