from dataclasses import replace

import pytest
from sqlalchemy import func, select

from controlplane.fleet.edges import Edges
from controlplane.storage.models import ExecutionSample, TelemetryReceipt
from controlplane.telemetry.ingest import KEPT_RECEIPTS, MAX_OUTPUTS, Ingest
from controlplane.telemetry.report import Reports
from controlplane.telemetry.values import ArmCount, Batch, Sample


@pytest.fixture
async def edge(database, clock):
    edges = Edges(database, clock)
    return await edges.enrol("default", deployment_id="", name="e", edge_version="1")


def arm(executions, **changes):
    values = {
        "task": "spam",
        "version": 1,
        "arm": "stable",
        "executions": executions,
        "outcomes": {"success": executions},
        "caller_timeouts": 0,
        "latency_sketch": b"",
        "confidence_bins": [0] * 9 + [executions],
        "output_mix": {"0": executions},
    }
    return ArmCount(**values | changes)


def batch(clock, number, *arms, samples=(), log_id="log-a"):
    return Batch(
        log_id=log_id,
        number=number,
        sealed_at=clock(),
        arms=arms,
        samples=samples,
        dropped={},
    )


async def test_repeated_batch_counts_nothing(database, clock, edge):
    ingest = Ingest(database, clock)

    first = await ingest.count("default", edge, batch(clock, 1, arm(10)))
    second = await ingest.count("default", edge, batch(clock, 1, arm(10)))

    assert (first, second) == (True, False)
    assert (await Reports(database).of_task("default", "spam")).executions == 10


async def test_receipts_do_not_pile_up_and_an_old_number_is_still_counted_once(
    database, clock, edge
):
    ingest = Ingest(database, clock)
    await ingest.count("default", edge, batch(clock, 1, arm(1)))
    await ingest.count("default", edge, batch(clock, KEPT_RECEIPTS + 100, arm(1)))

    was_new = await ingest.count("default", edge, batch(clock, 1, arm(1)))

    async with database.reading() as session:
        receipts = await session.scalar(select(func.count()).select_from(TelemetryReceipt))
    assert (was_new, receipts) == (False, 1)


async def test_batch_that_comes_late_but_first_is_counted(database, clock, edge):
    ingest = Ingest(database, clock)
    await ingest.count("default", edge, batch(clock, 2, arm(10)))

    assert await ingest.count("default", edge, batch(clock, 1, arm(10)))


async def test_same_number_of_another_log_is_another_batch(database, clock, edge):
    ingest = Ingest(database, clock)
    await ingest.count("default", edge, batch(clock, 1, arm(10)))

    await ingest.count("default", edge, batch(clock, 1, arm(5), log_id="log-b"))

    assert (await Reports(database).of_task("default", "spam")).executions == 15


async def test_counts_add_up_by_version_arm_and_outcome(database, clock, edge):
    ingest = Ingest(database, clock)
    await ingest.count("default", edge, batch(clock, 1, arm(10), arm(3, version=2)))
    clock.advance(24 * 3600)
    await ingest.count("default", edge, batch(clock, 2, arm(4, outcomes={"error": 4})))

    report = await Reports(database).of_task("default", "spam")

    assert report.outcomes == {"success": 13, "error": 4}
    assert [(each.version, each.executions) for each in report.arms] == [(1, 14), (2, 3)]
    assert await Reports(database).executions_by_edge("default") == {edge: {"spam": 17}}


async def test_report_can_be_limited_to_recent_days(database, clock, edge):
    ingest = Ingest(database, clock)
    await ingest.count("default", edge, batch(clock, 1, arm(10)))
    clock.advance(24 * 3600)
    await ingest.count("default", edge, batch(clock, 2, arm(4)))

    report = await Reports(database).of_task("default", "spam", since=clock().date())

    assert report.executions == 4


async def test_batch_with_a_bad_sketch_still_counts(database, clock, edge):
    await Ingest(database, clock).count(
        "default", edge, batch(clock, 1, arm(10, latency_sketch=b"\xff"))
    )

    report = await Reports(database).of_task("default", "spam")
    assert (report.executions, report.latency_ms) == (10, None)


async def test_row_does_not_grow_with_distinct_outputs(database, clock, edge):
    mix = {str(number): 1 for number in range(MAX_OUTPUTS + 500)}
    await Ingest(database, clock).count("default", edge, batch(clock, 1, arm(1500, output_mix=mix)))

    report = await Reports(database).of_task("default", "spam")
    assert report.executions == 1500


async def test_sample_is_kept_once(database, clock, edge):
    sample = Sample(
        execution_id="e1",
        task="spam",
        version=1,
        arm="stable",
        outcome="success",
        latency_ms=0.2,
        confidence=None,
        input_json='{"text":"hi"}',
        output_json='"ham"',
        executed_at=clock(),
    )
    ingest = Ingest(database, clock)
    await ingest.count("default", edge, batch(clock, 1, samples=(sample,)))

    await ingest.count(
        "default", edge, batch(clock, 2, samples=(sample, replace(sample, execution_id="e2")))
    )

    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(ExecutionSample)) == 2


async def test_a_sample_of_a_full_log_learns_later_how_it_was_drawn(database, clock, edge):
    ingest = Ingest(database, clock)
    plain = Sample(
        execution_id="e1",
        task="spam",
        version=1,
        arm="stable",
        outcome="success",
        latency_ms=1.0,
        confidence=None,
        input_json=None,
        output_json=None,
        executed_at=clock(),
    )
    await ingest.count("default", edge, batch(clock, 1, samples=[plain]))

    drawn = replace(plain, channel="audit", inclusion_probability=0.05)
    await ingest.count("default", edge, batch(clock, 2, samples=[drawn]))

    async with database.reading() as session:
        rows = list(await session.scalars(select(ExecutionSample)))
    assert [(row.channel, row.inclusion_probability) for row in rows] == [("audit", 0.05)]
