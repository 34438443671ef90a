"""One task's rollout on disk: plan, progress and how far the logs were counted, in one file.

Runs in: the agent. Talks to: state/rollouts/<task>.json. Never: stores counts and positions apart,
so that a kill counts no execution twice.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.agent.store import StoredVersion
from edged.artifacts.manifest import Digest
from edged.datasets.follower import Positions
from edged.datasets.layout import Layout
from edged.decisions.plan import Plan
from edged.decisions.progress import Command, CommandKind, Progress
from edged.files import write_whole

KNOWN_LABELS = 256  # four times what a kill writes again


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Where the rollout of one candidate stands. positions: of the two logs that are counted."""

    plan: Plan
    progress: Progress
    stable: StoredVersion
    candidate: StoredVersion
    executions: Positions
    validations: Positions
    commands: tuple[Command, ...] = ()
    """All that home's last state listed; those carried out are named in the progress."""
    labelled: tuple[str, ...] = ()
    """Ids of the last KNOWN_LABELS validations that counted, oldest first: a kill of the validator
    or an outcome that is reported twice writes one again."""

    @property
    def task(self) -> str:
        return self.candidate.task

    def as_json(self) -> dict[str, Any]:
        return {
            "plan": self.plan.as_json(),
            "progress": self.progress.as_json(),
            "stable": _version_json(self.stable),
            "candidate": _version_json(self.candidate),
            "executions": self.executions,
            "validations": self.validations,
            "commands": [
                {"command_id": c.command_id, "kind": str(c.kind), "reason": c.reason}
                for c in self.commands
            ],
            "labelled": self.labelled,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "RolloutState":
        """Read what `as_json` wrote. Raises ValueError."""
        try:
            return cls(
                plan=Plan.from_json(document["plan"]),
                progress=Progress.from_json(document["progress"]),
                stable=_version(document["stable"]),
                candidate=_version(document["candidate"]),
                executions=dict(document["executions"]),
                validations=dict(document["validations"]),
                commands=tuple(
                    Command(
                        command_id=c["command_id"], kind=CommandKind(c["kind"]), reason=c["reason"]
                    )
                    for c in document["commands"]
                ),
                labelled=tuple(document.get("labelled", ())),  # older files name none
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a rollout's state: {error!r}") from error


class RolloutFolder:
    """state/rollouts, one file a task."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.state / "rollouts"

    def read_all(self) -> Iterator[RolloutState]:
        """Yield every rollout. Raises ValueError for a damaged file, which nothing here writes."""
        for path in sorted(self._folder.glob("*.json")):
            yield RolloutState.from_json(json.loads(path.read_bytes()))

    def write(self, state: RolloutState) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(state.task), json.dumps(state.as_json(), indent=1).encode())

    def remove(self, task: str) -> None:
        self._path(task).unlink(missing_ok=True)

    def _path(self, task: str) -> Path:
        return self._folder / f"{task}.json"


def _version_json(version: StoredVersion) -> dict[str, Any]:
    return {"task": version.task, "version": version.version, "digest": version.digest}


def _version(document: dict[str, Any]) -> StoredVersion:
    return StoredVersion(
        task=document["task"], version=document["version"], digest=Digest(document["digest"])
    )
