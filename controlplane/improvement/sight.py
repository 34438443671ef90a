"""How a task fares now: the failure estimate of a version from its audit labels.

Runs in: jobs (decides by it), server (shows it). Talks to: labels. Never: begins anything.
"""

from controlplane.improvement.alarm import FailureEstimate, estimate
from controlplane.improvement.settings import ImprovementSettings
from controlplane.reviews.labels import Audit, Labels
from controlplane.tasks.specification import Task
from edged.decisions.failure import FailureTest


class Sight:
    """Reads labels and weighs them."""

    def __init__(self, labels: Labels, settings: ImprovementSettings) -> None:
        self._labels = labels
        self._test = FailureTest(allowed_rate=settings.allowed_failure_rate, alpha=settings.alpha)

    async def audit(self, task: Task, version: int) -> Audit:
        return await self._labels.audit(task.organisation_id, task.name, version)

    def weigh(self, version: int, audit: Audit) -> FailureEstimate:
        return estimate(version, audit.failures, earlier=audit.earlier, test=self._test)

    async def estimate(self, task: Task, version: int) -> FailureEstimate:
        return self.weigh(version, await self.audit(task, version))
