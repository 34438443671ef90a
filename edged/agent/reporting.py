"""Say how this agent fares: what `edged status` shows and what a heartbeat tells of troubles.

Runs in: the agent. Talks to: the agent's parts, the disk. Never: shows an input, an output, a key.
"""

import asyncio
import os
import platform
import shutil
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

import orjson

from edged.agent.applier import Applier
from edged.agent.batches import BatchFolder
from edged.agent.home_settings import HomeSettings
from edged.agent.link import Link
from edged.agent.releasing import Releaser
from edged.agent.rollouts import Rollouts
from edged.agent.telemetry import Batcher
from edged.agent.validators import Validators
from edged.datasets.follower import Follower
from edged.datasets.layout import Layout
from edged.decisions.estimates import Label, hajek
from edged.deployment import Deployment

FLUSH_S: Final = 30.0
_LOW_DISK_BYTES: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportParts:
    """What there is to tell of; None where this edge has none. clock: seconds since the epoch."""

    deployment: Deployment
    layout: Layout
    applier: Applier
    rollouts: Rollouts
    releaser: Releaser
    batches: BatchFolder
    batcher: Batcher | None
    validators: Validators | None
    link: Link | None
    settings: HomeSettings
    clock: Callable[[], float]


class Report:
    """One agent's."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts
        self._started_s = parts.clock()

    async def status(self) -> dict[str, Any]:
        parts = self._parts
        return {
            "version": metadata.version("loopai"),
            "pid": os.getpid(),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
            "started_at": when(self._started_s),
            "clock": when(parts.clock()),
            "problems": self.problems(),
            "tasks": self._tasks(),
            "link": parts.link.status() if parts.link else None,
            "telemetry": self._telemetry(),
            "validation": parts.validators.status() if parts.validators else {},
            "privacy": {
                "configured": parts.deployment.telemetry.privacy_mode,
                "effective": str(parts.releaser.mode),
            },
            "sampling": parts.settings.in_force.sampling.model_dump(mode="json"),
            "settings_from_home": parts.settings.status(),
            "disk": self._disk(),
        }

    async def flush(self) -> dict[str, Any]:
        """Seal what is in the logs and send it; returns when home has it, or after FLUSH_S."""
        parts = self._parts
        if parts.batcher is None or parts.link is None:
            return {"sent": 0, "pending": 0, "reason": "no control plane is configured"}
        if not parts.deployment.telemetry.enabled:
            return {"sent": 0, "pending": 0, "reason": "telemetry.enabled is false"}
        await parts.batcher.sealed_now()
        waiting, last = len(parts.batches.pending()), parts.batcher.number
        reason = "" if await parts.link.hurry() else parts.link.reason_down
        if not reason:
            try:
                await asyncio.wait_for(parts.batches.wait_acknowledged(last), FLUSH_S)
            except TimeoutError:
                reason = f"not acknowledged within {FLUSH_S:.0f} s"
        left = sum(number <= last for number in parts.batches.pending())
        return {"sent": waiting - left, "pending": left, "reason": reason if left else ""}

    def problems(self) -> list[str]:
        """Return what is wrong, in words that may leave this machine in any privacy mode."""
        parts = self._parts
        found = [
            f"task {report.task}: version {report.target_version} does not serve"
            for report in parts.applier.reports.values()
            if report.state == "FAILED"
        ]
        if parts.validators is not None:
            found += parts.validators.problems()
        if self._is_configuration_refused():
            found.append("deployment.yaml: its last change was refused")
        if shutil.disk_usage(parts.layout.data_dir).free < _LOW_DISK_BYTES:
            found.append("storage: less than 1 GB is free")
        return found

    def _is_configuration_refused(self) -> bool:
        try:
            told = orjson.loads((self._parts.layout.state / "edged.json").read_bytes())
            return told["config"]["refused"] is not None
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _tasks(self) -> dict[str, Any]:
        parts = self._parts
        return {
            task: {
                "state": report.state if (report := parts.applier.reports.get(task)) else "KEPT",
                "reason": report.reason if report else "",
                "source": route.source,
                "arms": [
                    {
                        "arm": arm.name,
                        "version": arm.version,
                        "weight": round(arm.weight, 4),
                        "digest": arm.digest,
                    }
                    for arm in route.arms
                ],
                "stage": parts.rollouts.stage(task),
                "failure_rate": self._failure_rate(task, {arm.version for arm in route.arms}),
            }
            for task, route in sorted(parts.applier.routes.tasks.items())
        }

    def _failure_rate(self, task: str, versions: set[int]) -> dict[str, Any] | None:
        """Return the estimate for all executions of the serving versions, from recent samples."""
        lines = Follower(self._parts.layout, "validations", {}, task=task).tail()
        return failure_rate(lines, versions)

    def _telemetry(self) -> dict[str, Any]:
        parts = self._parts
        pending = parts.batches.pending()
        return {
            "enabled": parts.batcher is not None and parts.deployment.telemetry.enabled,
            "batches_pending": len(pending),
            "pending_bytes": parts.batches.size_bytes,
            "oldest_pending_at": when(parts.batches.sealed_s(pending[0])) if pending else None,
            "last_batch": parts.batcher.number if parts.batcher else 0,
            "log_backlog_bytes": parts.batcher.backlog_bytes() if parts.batcher else 0,
        }

    def _disk(self) -> dict[str, Any]:
        usage = shutil.disk_usage(self._parts.layout.data_dir)
        return {
            "data_dir": str(self._parts.layout.data_dir.absolute()),
            "free_bytes": usage.free,
            "total_bytes": usage.total,
        }


def failure_rate(lines: Iterable[bytes], versions: Container[int]) -> dict[str, Any] | None:
    """Return the estimate from validations; what a kill had written twice counts once."""
    labels = dict(label for line in lines if (label := _label(line, versions)) is not None)
    if not labels:
        return None
    estimate = hajek(list(labels.values()))
    return {
        "estimate": round(estimate.rate, 4),
        "low": round(estimate.interval.low, 4),
        "high": round(estimate.interval.high, 4),
        "labels": estimate.labels,
    }


def _label(line: bytes, versions: Container[int]) -> tuple[str, Label] | None:
    """Return the validation's id and what it says."""
    try:
        fields: Mapping[str, Any] = orjson.loads(line)
        if fields["version"] not in versions or not fields["inclusion_probability"]:
            return None
        return fields["id"], Label(
            is_failure=not fields["match"], inclusion_probability=fields["inclusion_probability"]
        )
    except (ValueError, KeyError, TypeError):
        return None


def when(seconds: float) -> str:
    """Return RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
