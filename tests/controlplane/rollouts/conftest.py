"""A task with two versions, an edge that serves it, and a way to let the edge decide."""

import pytest

from controlplane.artifacts.draft import Draft, DraftTask
from controlplane.artifacts.versions import Versions
from controlplane.fleet.edges import Edges, Greeting, TaskCondition
from controlplane.rollouts.plan import RolloutSettings
from controlplane.rollouts.rollouts import RolloutRequest, Rollouts
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.values import Batch, Decision
from edged.artifacts.signing import SigningKey


class World:
    """The nouns at hand, and edges that decide."""

    def __init__(self, database, blobs, clock, task):
        self.database = database
        self.clock = clock
        self.task = task
        self.versions = Versions(database, blobs, SigningKey.generate(), clock)
        self.rollouts = Rollouts(database, clock)
        self.edges = Edges(database, clock)
        self.ingest = Ingest(database, clock)
        self.numbers = iter(range(1, 1_000))

    async def publish(self, *, activate):
        described = DraftTask(
            id=self.task.id,
            organisation_id="default",
            name=self.task.name,
            description="",
            revision=1,
            input_schema={},
            output_schema={},
        )
        draft = Draft(
            task=described,
            source="def run(input_data):\n    return 1\n",
            returns_confidence=False,
            synthesis_strategy="rule",
            origin="uploaded",
            self_tests=(),
        )
        return await self.versions.publish(draft, activate=activate)

    async def edge(self, *, serving=1):
        deployment_id = await self.edges.enrol(
            "default", deployment_id="", name="e", edge_version="1"
        )
        await self.hear(deployment_id)
        condition = TaskCondition(
            task=self.task.name,
            state="applied",
            serving_version=serving,
            target_version=1,
            stage=0,
            reason="",
        )
        await self.edges.record_report(
            "default",
            deployment_id,
            conditions=[condition],
            applied_sequence=1,
            refused="",
            settings_refused={},
        )
        return deployment_id

    async def hear(self, deployment_id):
        greeting = Greeting(
            deployment_id=deployment_id,
            edge_version="1",
            log_id="log",
            privacy_mode="balanced",
            applied_sequence=0,
        )
        await self.edges.greet("default", greeting)

    async def start(self, version=2, **facts):
        request = RolloutRequest(
            organisation_id="default",
            task_id=self.task.id,
            version=version,
            plan=RolloutSettings().plan(),
            **facts,
        )
        return await self.rollouts.start(request)

    async def decide(self, edge, rollout, action, verdict="PASS", reason="r", decision_id=None):
        number = next(self.numbers)
        decision = Decision(
            decision_id=decision_id or f"d{number}",
            rollout_id=rollout.id,
            task=self.task.name,
            version=rollout.to_version,
            stage=1,
            phase="stage",
            verdict=verdict,
            action=action,
            reason=reason,
            evidence_json="[]",
            decided_at=self.clock(),
        )
        batch = Batch(
            log_id="log",
            number=number,
            sealed_at=self.clock(),
            arms=(),
            samples=(),
            dropped={},
            decisions=(decision,),
        )
        await self.ingest.count("default", edge, batch)
        self.clock.advance(1)

    async def statuses(self):
        rows = await self.versions.list(self.task.id)
        return {row.version: row.status for row in rows}


@pytest.fixture
async def world(database, blobs, clock, task):
    made = World(database, blobs, clock, task)
    await made.publish(activate=True)
    await made.publish(activate=False)
    return made
