"""The agent's composition root: the cold path's parts and its one long-lived TaskGroup.

Runs in: the agent process, niced, started by the supervisor, which also tells it when to begin.
Never: touches a caller's request.
"""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from edged import inheritance as inherit
from edged import logs
from edged.agent.alone import alone
from edged.agent.applier import Applier
from edged.agent.batches import BatchFolder
from edged.agent.control import AgentControl
from edged.agent.decisions_log import DecisionLog
from edged.agent.download import Downloads
from edged.agent.enduring import Part, end, enduring
from edged.agent.erasures import Erasures
from edged.agent.folder import FolderSource
from edged.agent.home_settings import HomeSettings, Wanted
from edged.agent.identity import IdentityFile, log_id
from edged.agent.link import Link
from edged.agent.making import link_settings, make_recorder, make_shadow, make_validators
from edged.agent.oracles.home import HomeDesk
from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.hashing import deployment_key
from edged.agent.privacy.making import make_filter
from edged.agent.quarantines import Quarantines
from edged.agent.releasing import Releaser
from edged.agent.reporting import Report, ReportParts
from edged.agent.retention import Followed, Retention, rules_of
from edged.agent.rollouts import Rollouts
from edged.agent.session import Parts
from edged.agent.states import States
from edged.agent.statistics import Statistician
from edged.agent.store import ArtifactStore
from edged.agent.telemetry import Batcher
from edged.datasets.layout import Layout
from edged.deployment import Deployment
from edged.inheritance import Inheritance

log = structlog.get_logger()
NICENESS = 10  # serving comes first
STARTED_S = 2.0
WATCH_S = 0.5
LAST_SEND_S = 5.0  # for the batches sealed while stopping


class Agent:
    """All parts of the cold path, wired to each other."""

    def __init__(self, deployment: Deployment, control_path: Path) -> None:
        layout = deployment.storage.layout
        layout.state.mkdir(parents=True, exist_ok=True)
        store = ArtifactStore(layout)
        self._applier = Applier(layout, store, control_path)
        self._folder = FolderSource(deployment.artifacts.folder, store, self._applier)
        self._batches = BatchFolder(layout, int(deployment.telemetry.max_disk_mb * 1024 * 1024))
        self._recorder = make_recorder(deployment, layout)
        self._batcher: Batcher | None = None
        self._counts = deployment.telemetry.enabled
        self._link: Link | None = None
        self._supervisor = os.getppid()
        privacy = make_filter(deployment, deployment_key(layout))
        self._releaser = Releaser(layout, privacy, AuditLog(layout, time.time))
        self._desk = HomeDesk()
        self._validators = make_validators(deployment, layout, self._releaser, self._desk)
        self._shadow = make_shadow(deployment, layout, self._validators)
        decisions = DecisionLog(layout, time.time)
        self._rollouts = Rollouts(layout, self._applier, self._shadow, decisions, time.time)
        self._quarantines = Quarantines(layout, self._applier, self._rollouts)
        self._settings = HomeSettings(layout, deployment, self._reconfigure)
        self._statistician = Statistician(layout)
        if deployment.cloud.link_address:
            self._connect(deployment, layout, store)
            self._settings.resume()
        else:
            self._erasures = self._erase(layout)
        self._retention = self._keep(deployment, layout, store, decisions)
        self._report = Report(self._report_parts(deployment, layout))
        answers = {"status": self._report.status, "flush": self._report.flush}
        self._control = AgentControl(layout, control_path.with_name("agent.sock"), answers)

    async def run(self, stop: asyncio.Event, has_changed: asyncio.Event) -> None:
        """Work until `stop` is set; then seal, and send, what the log still holds.

        has_changed: this agent's settings are no longer in force, and nothing leaves by them.
        """
        async with asyncio.TaskGroup() as tasks:
            running = {
                name: tasks.create_task(enduring(name, part), name=name)
                for name, part in self._parts().items()
            }
            tasks.create_task(self._watch_supervisor(stop), name="supervisor")
            await stop.wait()
            # Between two chunks it would go on behind `flush`, and take the same lines again.
            first = {"batcher", "link"} if has_changed.is_set() else {"batcher"}
            await end([task for name, task in running.items() if name in first])
            await self._finish(sends=not has_changed.is_set())
            await end(running.values())

    async def _watch_supervisor(self, stop: asyncio.Event) -> None:
        """Stop when the supervisor is gone, also where its death sent no signal."""
        while not stop.is_set():
            if os.getppid() != self._supervisor:
                stop.set()
            await asyncio.sleep(WATCH_S)

    def _parts(self) -> dict[str, Part]:
        parts: dict[str, Part] = {
            "control": self._control.run,
            "folder": self._folder.run,
            "erasures": self._erasures.run,
            "shadow": self._shadow.run,
            "rollouts": self._rollouts.run,
            "statistics": self._statistician.run,
            "quarantines": self._quarantines.run,
            "retention": self._retention.run,
        }
        if self._batcher is not None and self._counts:
            parts["batcher"] = self._batcher.run
        if self._validators is not None:
            parts["validators"] = self._validators.run
        if self._link is not None:
            parts["link"] = self._link.run
        return parts

    def _keep(
        self, deployment: Deployment, layout: Layout, store: ArtifactStore, decisions: DecisionLog
    ) -> Retention:
        batcher = self._batcher if self._counts else None
        counter = self._statistician.counter
        readers = (counter, batcher, self._validators, self._rollouts)
        followers: list[Followed] = [reader for reader in readers if reader is not None]
        keep_versions = deployment.retention.artifacts.keep_versions
        chores = [
            decisions.let_past_days_go,
            lambda: store.prune(keep_versions, self._versions_in_use()),
        ]
        if self._validators is not None:
            chores.append(self._validators.let_past_days_go)
        return Retention(
            layout,
            rules_of(deployment.storage, deployment.retention),
            followers,
            time.time,
            time.monotonic,
            chores=chores,
        )

    def _erase(self, layout: Layout) -> Erasures:
        holders = [each for each in (self._batcher, self._validators) if each is not None]
        return Erasures(
            layout,
            self._batches,
            holders,
            has_home=self._batcher is not None,
            forget_outputs=self._statistician.forget_outputs,
        )

    def _versions_in_use(self) -> set[tuple[str, int]]:
        routes = self._applier.routes.tasks
        routed = {
            (task, arm.version)
            for task, route in routes.items()
            for arm in (*route.arms, *route.fallback)
        }
        return routed | self._rollouts.versions_in_use()

    async def _finish(self, *, sends: bool) -> None:
        if self._batcher is None or not self._counts:
            return
        self._batcher.flush()
        is_orphan = os.getppid() != self._supervisor  # then the next agent waits for this one
        is_heard = self._link is not None and self._link.is_up
        if sends and is_heard and not is_orphan:  # else they wait on disk
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SEND_S):
                    await self._batches.wait_empty()
        log.info("agent_stopped", batches_pending=self._batches.count)

    def _problems(self) -> list[str]:
        return self._report.problems()  # made last, for it tells of the link too

    def _reconfigure(self, wanted: Wanted) -> None:
        self._recorder.resample(wanted.sampling.rate)
        if self._validators is not None:
            self._validators.resample(wanted.sampling)
        if self._batcher is not None:
            self._batcher.reconfigure(wanted.telemetry)

    def _report_parts(self, deployment: Deployment, layout: Layout) -> ReportParts:
        return ReportParts(
            deployment=deployment,
            layout=layout,
            applier=self._applier,
            rollouts=self._rollouts,
            releaser=self._releaser,
            batches=self._batches,
            batcher=self._batcher,
            validators=self._validators,
            link=self._link,
            settings=self._settings,
            clock=time.time,
        )

    def _connect(self, deployment: Deployment, layout: Layout, store: ArtifactStore) -> None:
        identifier = log_id(layout)
        self._batcher = Batcher(
            layout,
            self._batches,
            deployment.telemetry,
            self._releaser,
            self._recorder,
            identifier,
            time.monotonic,
            time.time,
        )
        self._erasures = self._erase(layout)
        parts = self._session_parts(deployment, Downloads(layout), store, self._batcher)
        self._link = Link(link_settings(deployment, identifier), IdentityFile(layout), store, parts)

    def _session_parts(
        self, deployment: Deployment, downloads: Downloads, store: ArtifactStore, batcher: Batcher
    ) -> Parts:
        return Parts(
            states=States(
                store,
                self._applier,
                downloads,
                self._rollouts,
                self._releaser,
                self._settings,
                lambda: datetime.now(UTC),
            ),
            downloads=downloads,
            batches=self._batches,
            batcher=batcher,
            erasures=self._erasures,
            releaser=self._releaser,
            applier=self._applier,
            clock=time.time,
            problems=self._problems,
            sends_batches=deployment.telemetry.enabled,
            desk=self._desk,
        )


async def _main(inheritance: Inheritance) -> None:
    stop, has_changed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def let_go() -> None:
        has_changed.set()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(inherit.SETTINGS_CHANGED, let_go)
    # Niced from the start, a busy gateway would hold up the link for seconds.
    loop.call_later(STARTED_S, os.nice, NICENESS)
    async with alone(inheritance.deployment.storage.layout, stop) as is_alone:
        if not is_alone:
            return
        agent = Agent(inheritance.deployment, Path(inheritance.control_path))
        inherit.say_ready(inheritance)
        await agent.run(stop, has_changed)


def main() -> None:
    """Run the agent with what the supervisor gives, when it says so."""
    inheritance = inherit.receive(*sys.argv[1:])
    logs.configure("agent")
    asyncio.run(_main(inheritance))


if __name__ == "__main__":
    main()
