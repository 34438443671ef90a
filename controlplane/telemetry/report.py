"""Add up what all edges reported of a task.

Runs in: the server. Talks to: the database. Never: averages a percentile.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select

from controlplane.storage.database import Database
from controlplane.storage.models import TelemetryCount
from controlplane.telemetry import sketches

QUANTILES = (0.5, 0.9, 0.95, 0.99)
SHOWN_OUTPUTS = 100  # of an arm, the frequent ones


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmReport:
    """One version's arm over all edges and days asked for."""

    version: int
    arm: str
    executions: int
    outcomes: dict[str, int]
    caller_timeouts: int
    latency_ms: dict[str, float] | None
    confidence_bins: list[int]
    output_mix: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """A task over all edges."""

    executions: int
    edges: int
    outcomes: dict[str, int]
    latency_ms: dict[str, float] | None
    arms: tuple[ArmReport, ...]


class Reports:
    """The sums."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_task(
        self, organisation_id: str, task: str, *, since: date | None = None
    ) -> TaskReport:
        query = select(TelemetryCount).filter_by(organisation_id=organisation_id, task=task)
        if since is not None:
            query = query.where(TelemetryCount.day >= since)
        async with self._database.reading() as session:
            rows = list(await session.scalars(query))
        by_arm: defaultdict[tuple[int, str], list[TelemetryCount]] = defaultdict(list)
        for row in rows:
            by_arm[row.version, row.arm].append(row)
        return TaskReport(
            executions=sum(row.executions for row in rows),
            edges=len({row.deployment_id for row in rows}),
            outcomes=_outcomes(rows),
            latency_ms=_latency(rows),
            arms=tuple(_arm(*key, by_arm[key]) for key in sorted(by_arm)),
        )

    async def executions_by_edge(self, organisation_id: str) -> dict[str, dict[str, int]]:
        """Return deployment → task → executions counted."""
        total = func.sum(TelemetryCount.executions)
        query = (
            select(TelemetryCount.deployment_id, TelemetryCount.task, total)
            .where(TelemetryCount.organisation_id == organisation_id)
            .group_by(TelemetryCount.deployment_id, TelemetryCount.task)
        )
        counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
        async with self._database.reading() as session:
            for deployment_id, task, executions in (await session.execute(query)).all():
                counts[deployment_id][task] = int(executions)
        return counts


def _arm(version: int, arm: str, rows: Sequence[TelemetryCount]) -> ArmReport:
    return ArmReport(
        version=version,
        arm=arm,
        executions=sum(row.executions for row in rows),
        outcomes=_outcomes(rows),
        caller_timeouts=sum(row.caller_timeouts for row in rows),
        latency_ms=_latency(rows),
        confidence_bins=_bins(rows),
        output_mix=_output_mix(rows),
    )


def _bins(rows: Sequence[TelemetryCount]) -> list[int]:
    known = [row.confidence_bins for row in rows if row.confidence_bins]
    return [sum(column) for column in zip(*known, strict=True)]


def _output_mix(rows: Sequence[TelemetryCount]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row.output_mix)
    return dict(total.most_common(SHOWN_OUTPUTS))


def _outcomes(rows: Sequence[TelemetryCount]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row.outcomes)
    return dict(total)


def _latency(rows: Sequence[TelemetryCount]) -> dict[str, float] | None:
    return sketches.quantiles([row.latency_sketch for row in rows], QUANTILES)
