import asyncio

from controlplane.fleet.edges import Edges
from controlplane.hub.hub import Hub
from controlplane.hub.subscriber import Wish
from controlplane.storage.outbox import OutboxFollower, Wakeups
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.metrics import Metrics
from controlplane.telemetry.report import Reports
from controlplane.telemetry.values import ArmCount, Batch


def batch(clock, number, executions):
    arm = ArmCount(
        task="spam",
        version=3,
        arm="candidate",
        executions=executions,
        outcomes={"success": executions},
        caller_timeouts=0,
        latency_sketch=b"",
        confidence_bins=[],
        output_mix={},
    )
    return Batch(
        log_id="log", number=number, sealed_at=clock(), arms=(arm,), samples=(), dropped={}
    )


async def test_counted_batches_reach_a_follower_as_the_days_metrics(database, clock):
    edge = await Edges(database, clock).enrol(
        "default", deployment_id="", name="e", edge_version="1"
    )
    hub = Hub(Metrics(Reports(database), clock).read, clock)
    follower = OutboxFollower(database, Wakeups(), clock, take=hub.take)
    ingest = Ingest(database, clock)
    with hub.subscribed(Wish(organisation_id="default", tasks=frozenset({"spam"}))) as subscriber:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(part.run()) for part in (hub, follower)]
            await asyncio.sleep(0.05)
            await ingest.count("default", edge, batch(clock, 1, 10))
            await ingest.count("default", edge, batch(clock, 2, 5))

            message = await asyncio.wait_for(anext(subscriber), 5)
            while message["metrics"]["executions"] < 15:
                message = await asyncio.wait_for(anext(subscriber), 5)

            for task in running:
                task.cancel()
    assert message["event"] == "OnMetricUpdate"
    assert message["metrics"]["since"] == "2026-11-23"
    assert message["metrics"]["arms"] == [
        {"version": 3, "arm": "candidate", "executions": 15, "outcomes": {"success": 15}}
    ]
