import pytest
from sqlalchemy import select

from controlplane.fleet.edges import Edges
from controlplane.storage.loop_models import ImprovementRow, ReviewRow, TicketRow, ValidationRow
from controlplane.storage.models import EdgeRow, ErasureRow, ExecutionSample
from controlplane.telemetry.erasing import Erasing, Erasure
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.report import Reports
from controlplane.telemetry.values import ArmCount, Batch, Sample, Validation

ERASURE = Erasure(erasure_id="erasure-1", part=0, task="spam", execution_ids=["gone-1", "gone-2"])


@pytest.fixture
async def edge(database, clock):
    edges = Edges(database, clock)
    return await edges.enrol("default", deployment_id="", name="e", edge_version="1")


def sample(execution_id, clock):
    return Sample(
        execution_id=execution_id,
        task="spam",
        version=1,
        arm="stable",
        outcome="success",
        latency_ms=1.0,
        confidence=None,
        input_json='"Ann"',
        output_json='"spam"',
        executed_at=clock(),
    )


def validation(execution_id, clock):
    return Validation(
        validation_id=f"v-{execution_id}",
        execution_id=execution_id,
        task="spam",
        version=1,
        arm="stable",
        oracle="http",
        is_match=False,
        outcome="success",
        channel="audit",
        inclusion_probability=0.05,
        oracle_output_json='"ham"',
        oracle_output_index=None,
        oracle_output_hash=None,
        oracle_cost=0.0,
        oracle_latency_ms=1.0,
        similarity_score=0.0,
        comparison_method="exact",
        validated_at=clock(),
    )


@pytest.fixture
async def stored(database, clock, edge, task):
    """Two executions to be erased and one to stay, with all that is stored of each."""
    ids = ("gone-1", "gone-2", "stays")
    arm = ArmCount(
        task="spam",
        version=1,
        arm="stable",
        executions=3,
        outcomes={"success": 3},
        caller_timeouts=0,
        latency_sketch=b"",
        confidence_bins=[],
        output_mix={"0": 3},
    )
    batch = Batch(
        log_id="log",
        number=1,
        sealed_at=clock(),
        arms=[arm],
        samples=[sample(each, clock) for each in ids],
        validations=[validation(each, clock) for each in ids],
        dropped={"storage limit: executions": 7},
    )
    await Ingest(database, clock).count("default", edge, batch)
    async with database.writing() as session:
        session.add(_improvement(task, clock))
        await session.flush()
        session.add(_ticket(task, clock, ids))
        session.add(_review(task, clock))


def _improvement(task, clock):
    return ImprovementRow(
        id="improvement",
        organisation_id="default",
        task_id=task.id,
        status="rejected",
        from_version=1,
        trigger={},
        patterns=[],
        evaluation={},
        reason="",
        history=[],
        labels_known=0,
        created_at=clock(),
    )


def _ticket(task, clock, ids):
    examples = [{"execution_id": each, "input": "Ann"} for each in ids]
    return TicketRow(
        id="ticket",
        organisation_id="default",
        task_id=task.id,
        improvement_id="improvement",
        status="open",
        reason="",
        content={"failure_rate": 0.3, "slices": [{"examples": examples}]},
        note="",
        created_at=clock(),
    )


def _review(task, clock):
    return ReviewRow(
        organisation_id="default",
        task_id=task.id,
        execution_id="gone-1",
        label_json='"ham"',
        reviewer="Bee",
        created_at=clock(),
    )


async def all_of(database, column):
    async with database.reading() as session:
        return list(await session.scalars(select(column)))


@pytest.mark.usefixtures("stored")
async def test_everything_stored_of_the_executions_goes_and_counts_stay(database, clock, edge):
    erased = await Erasing(database, clock).erase("default", edge, ERASURE)

    assert erased == 2 + 2 + 1 + 2  # samples, validations, a review, examples in a ticket
    assert await all_of(database, ExecutionSample.execution_id) == ["stays"]
    assert await all_of(database, ValidationRow.execution_id) == ["stays"]
    assert await all_of(database, ReviewRow.execution_id) == []
    [content] = await all_of(database, TicketRow.content)
    assert content == {
        "failure_rate": 0.3,
        "slices": [{"examples": [{"execution_id": "stays", "input": "Ann"}]}],
    }
    assert (await Reports(database).of_task("default", "spam")).executions == 3


@pytest.mark.usefixtures("stored")
async def test_asked_again_it_erases_what_came_meanwhile_and_keeps_one_account(
    database, clock, edge
):
    erasing = Erasing(database, clock)
    await erasing.erase("default", edge, ERASURE)

    assert await erasing.erase("default", edge, ERASURE) == 7

    assert await all_of(database, ErasureRow.erased) == [7]


@pytest.mark.usefixtures("stored")
async def test_another_organisation_keeps_what_it_has(database, clock, edge):
    assert await Erasing(database, clock).erase("other", edge, ERASURE) == 0

    assert len(await all_of(database, ExecutionSample.execution_id)) == 3


@pytest.mark.usefixtures("stored")
async def test_what_the_edge_had_to_drop_is_summed_by_reason(database, clock, edge):
    more = Batch(
        log_id="log",
        number=2,
        sealed_at=clock(),
        arms=[],
        samples=[],
        dropped={"storage limit: executions": 1, "withheld: too_large": 2},
    )

    await Ingest(database, clock).count("default", edge, more)

    [dropped] = await all_of(database, EdgeRow.dropped)
    assert dropped == {"storage limit: executions": 8, "withheld: too_large": 2}
