"""Accept a signed state from home, fetch what is missing, apply it, report.

Runs in: the agent. Talks to: downloads, store, applier. Never: obeys a state that is unsigned,
for another edge, expired or older than the last one; the last good state serves for ever.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime

import structlog
from google.protobuf.message import DecodeError
from loopai.control.v1 import link_pb2 as wire

from edged.agent.applier import Applier, Target, TaskReport
from edged.agent.download import Downloads
from edged.agent.home_settings import HomeSettings
from edged.agent.identity import Identity
from edged.agent.plans import read_commands, read_plan
from edged.agent.privacy.modes import Mode
from edged.agent.releasing import Releaser
from edged.agent.rollouts import Rollouts, Trial
from edged.agent.store import ArtifactStore, StoredVersion
from edged.artifacts.manifest import Digest
from edged.artifacts.signing import ArtifactStatement
from edged.errors import LoopaiError, SignatureInvalid

log = structlog.get_logger()
Send = Callable[[wire.ConnectRequest], Awaitable[None]]
FLOORS = {
    wire.PRIVACY_MODE_STRICT: Mode.STRICT,
    wire.PRIVACY_MODE_BALANCED: Mode.BALANCED,
    wire.PRIVACY_MODE_PERMISSIVE: Mode.PERMISSIVE,
}
STATES = {"APPLIED": wire.APPLY_STATE_APPLIED, "FAILED": wire.APPLY_STATE_FAILED}


class StateRefused(LoopaiError):
    code = "state_refused"
    text = "{reason}"


class States:
    """Turns a pushed state into routes. now: wall clock in UTC."""

    def __init__(
        self,
        store: ArtifactStore,
        applier: Applier,
        downloads: Downloads,
        rollouts: Rollouts,
        releaser: Releaser,
        settings: HomeSettings,
        now: Callable[[], datetime],
    ) -> None:
        self._rollouts = rollouts
        self._releaser = releaser
        self._settings = settings
        self._store = store
        self._applier = applier
        self._downloads = downloads
        self._now = now

    async def receive(self, pushed: wire.SignedState, identity: Identity, send: Send) -> None:
        """Handle one push from verification to the final report."""
        try:
            state = self._verify(pushed.envelope, identity)
        except LoopaiError as error:
            log.warning("state_refused", nonce=pushed.nonce, reason=str(error))
            refusal = wire.StateReport(nonce=pushed.nonce, refused=str(error))
            await send(wire.ConnectRequest(state_report=refusal))
            return
        if state.privacy_floor:
            # A mode that only a newer home knows is taken for the tightest.
            self._releaser.tighten(FLOORS.get(state.privacy_floor, Mode.STRICT))
        refused = self._settings.receive(state.settings_json)
        applying = [
            wire.TaskStatus(
                task=task.task,
                state=wire.APPLY_STATE_APPLYING,
                target_version=task.stable.version,
            )
            for task in state.tasks
        ]
        await send(_report(pushed.nonce, state.sequence, applying))
        final = await self._apply(state, identity, send)
        await send(_report(pushed.nonce, state.sequence, final, refused))

    def _verify(self, envelope: bytes, identity: Identity) -> wire.DesiredState:
        """Return the state. Raises SignatureInvalid or StateRefused."""
        try:
            state = wire.DesiredState.FromString(identity.key.open_state(envelope))
        except DecodeError as error:
            raise SignatureInvalid(reason="the payload is not a DesiredState") from error
        if state.deployment_id != identity.deployment_id:
            raise StateRefused(reason="the state is for another edge")
        last = self._applier.routes.sequence
        if state.sequence < last:
            raise StateRefused(reason=f"sequence {state.sequence} is older than {last}")
        if (
            state.HasField("expires_at")
            and state.expires_at.ToDatetime(self._now().tzinfo) < self._now()
        ):
            raise StateRefused(reason="the state has expired; is this machine's clock right?")
        return state

    async def _apply(
        self, state: wire.DesiredState, identity: Identity, send: Send
    ) -> list[wire.TaskStatus]:
        held: dict[str, StoredVersion | Trial] = {}
        failed: list[wire.TaskStatus] = []
        for task in state.tasks:
            try:
                held[task.task] = await self._fetch(task, state, identity, send)
            except (LoopaiError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                log.warning("artifact_refused", task=task.task, reason=reason)
                failed.append(self._failed(task, error))
        reports = await self._applier.apply("home", self._targets(state, held), state.sequence)
        served = [to_wire(report, self._releaser) for report in reports if report.task in held]
        return served + failed

    def _targets(
        self, state: wire.DesiredState, held: Mapping[str, StoredVersion | Trial]
    ) -> Iterator[Target]:
        """Yield every task's arms as of now; a rollout may have moved during the downloads."""
        self._rollouts.retire([task.task for task in state.tasks if task.HasField("candidate")])
        for task in state.tasks:
            wanted = held.get(task.task)
            if wanted is None:
                yield from self._kept(task.task)
            elif isinstance(wanted, Trial):
                yield self._rollouts.target(wanted)
            else:
                yield Target.of(wanted)

    async def _fetch(
        self, task: wire.DesiredTask, state: wire.DesiredState, identity: Identity, send: Send
    ) -> StoredVersion | Trial:
        """Return what the task wants, with every artifact that it needs on this disk."""
        stable = await self._hold(task.task, task.stable, identity, send)
        if not task.HasField("candidate"):
            return stable
        candidate = await self._hold(task.task, task.candidate, identity, send)
        plan = read_plan(task.plan)
        commands = read_commands(state.commands, plan.rollout_id)
        return Trial(stable=stable, candidate=candidate, plan=plan, commands=commands)

    async def _hold(
        self, task: str, wanted: wire.DesiredVersion, identity: Identity, send: Send
    ) -> StoredVersion:
        """Return a wanted version, fetched first when this edge lacks it."""
        digest = Digest(wanted.digest)
        statement = ArtifactStatement(task=task, version=wanted.version, digest=digest)
        identity.key.check_artifact(wanted.signature, statement)
        target = StoredVersion(task=task, version=wanted.version, digest=digest)
        if target in set(self._store.held()):
            return target
        data = await self._downloads.fetch(digest, send)
        stored = self._store.add(data, expected=digest)
        log.info("artifact_stored", task=task, version=wanted.version, bytes=len(data))
        return stored

    def _kept(self, task: str) -> list[Target]:
        """Return what serves now, so that one bad artifact leaves its own task as it is."""
        route = self._applier.routes.tasks.get(task)
        return [Target(task=task, arms=route.arms)] if route else []

    def _failed(self, task: wire.DesiredTask, error: Exception) -> wire.TaskStatus:
        kept = self._kept(task.task)
        return wire.TaskStatus(
            task=task.task,
            state=wire.APPLY_STATE_FAILED,
            serving_version=kept[0].arms[0].version if kept else 0,
            target_version=task.stable.version,
            reason=self._releaser.reason(error),
        )


def to_wire(report: TaskReport, releaser: Releaser) -> wire.TaskStatus:
    """Return the report as it may leave: a reason may quote what a program said of its input."""
    return wire.TaskStatus(
        task=report.task,
        state=STATES[report.state],
        serving_version=report.serving_version,
        target_version=report.target_version,
        reason=releaser.reason(report.reason) if report.reason else "",
    )


def _report(
    nonce: str,
    sequence: int,
    tasks: list[wire.TaskStatus],
    settings_refused: Mapping[str, str] | None = None,
) -> wire.ConnectRequest:
    report = wire.StateReport(
        nonce=nonce, sequence=sequence, tasks=tasks, settings_refused=settings_refused or {}
    )
    return wire.ConnectRequest(state_report=report)
