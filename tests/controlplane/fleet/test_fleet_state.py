import asyncio

import pytest

from controlplane.artifacts.draft import Draft, DraftTask
from controlplane.artifacts.versions import Versions
from controlplane.clock import milliseconds
from controlplane.errors import EdgeUnknown, LinkMisused
from controlplane.fleet.connections import Connections
from controlplane.fleet.edges import Edges, Greeting, TaskCondition
from controlplane.fleet.targets import Targets
from controlplane.storage.sequence import MAX_AHEAD_MS
from edged.artifacts.signing import SigningKey


def draft(task):
    return Draft(
        task=DraftTask(
            id=task.id,
            organisation_id="default",
            name=task.name,
            description="",
            revision=1,
            input_schema={},
            output_schema={},
        ),
        source="def run(input_data):\n    return 1\n",
        returns_confidence=False,
        synthesis_strategy="rule",
        origin="uploaded",
        self_tests=(),
    )


def greeting(deployment_id, sequence=0):
    return Greeting(
        deployment_id=deployment_id,
        edge_version="1",
        log_id="log",
        privacy_mode="balanced",
        applied_sequence=sequence,
    )


async def test_state_names_the_active_version_of_every_task(database, blobs, clock, task):
    versions = Versions(database, blobs, SigningKey.generate(), clock)
    await versions.publish(draft(task), activate=True)
    await versions.publish(draft(task), activate=False)

    state = await Targets(database, clock).current("default")

    assert [(target.task, target.version) for target in state.targets] == [("spam", 1)]
    assert state.restricted_to({"other"}).targets == ()
    assert state.restricted_to(()) == state


async def test_sequence_grows_with_the_clock_and_without_it(database, blobs, clock, task):
    versions = Versions(database, blobs, SigningKey.generate(), clock)
    targets = Targets(database, clock)
    seen = []

    for _ in range(2):
        await versions.publish(draft(task), activate=True)
        seen.append((await targets.current("default")).sequence)

    assert seen == [milliseconds(clock()), milliseconds(clock()) + 1]


async def test_restored_database_steps_past_what_an_edge_applied(database, clock):
    targets = Targets(database, clock)
    ahead = milliseconds(clock()) + 5_000

    await targets.catch_up("default", ahead)

    assert (await targets.current("default")).sequence == ahead + 1


async def test_fleet_that_comes_back_at_once_steps_once(database, clock):
    targets = Targets(database, clock)
    ahead = milliseconds(clock()) + 5_000

    await asyncio.gather(*(targets.catch_up("default", ahead - n) for n in range(20)))
    await targets.catch_up("default", ahead)

    assert (await targets.current("default")).sequence <= ahead + 1


async def test_absurd_report_does_not_move_the_sequence_far(database, clock):
    targets = Targets(database, clock)

    await targets.catch_up("default", milliseconds(clock()) + 2 * MAX_AHEAD_MS)

    assert (await targets.current("default")).sequence == milliseconds(clock())


async def test_enrolling_twice_changes_nothing(database, clock):
    edges = Edges(database, clock)
    first = await edges.enrol("default", deployment_id="", name="a", edge_version="1")

    second = await edges.enrol("default", deployment_id=first, name="a", edge_version="1")

    assert second == first
    assert len(await edges.list("default")) == 1


async def test_identity_of_another_organisation_is_not_taken_over(database, clock):
    edges = Edges(database, clock)
    theirs = await edges.enrol("theirs", deployment_id="", name="a", edge_version="1")

    with pytest.raises(LinkMisused):
        await edges.enrol("default", deployment_id=theirs, name="a", edge_version="1")
    with pytest.raises(EdgeUnknown):
        await edges.greet("default", greeting(theirs))


async def test_edge_that_the_database_forgot_is_adopted(database, clock):
    edges = Edges(database, clock)
    forgotten = "019c0000-0000-7000-8000-000000000001"

    await edges.greet("default", greeting(forgotten, sequence=7))

    (row,) = await edges.list("default")
    assert (row.deployment_id, row.applied_sequence) == (forgotten, 7)


async def test_last_report_on_a_task_is_kept(database, clock):
    edges = Edges(database, clock)
    edge = await edges.enrol("default", deployment_id="", name="a", edge_version="1")
    for state, reason in (("applying", ""), ("failed", "self-test")):
        condition = TaskCondition(
            task="spam", state=state, serving_version=1, target_version=2, stage=0, reason=reason
        )
        await edges.record_report(
            "default",
            edge,
            conditions=[condition],
            applied_sequence=9,
            refused="",
            settings_refused={},
        )

    (row,) = (await edges.conditions("default"))[edge]
    assert (row.state, row.reason, row.serving_version) == ("failed", "self-test", 1)


def test_newest_connection_takes_the_place_and_the_older_one_learns_it():
    connections = Connections(limit=10)
    with connections.claimed("edge", "first") as older:
        with connections.claimed("edge", "second"):
            assert older.is_over.is_set()
            assert "second" in str(older.reason)
        assert not connections.is_connected("edge")


def test_leaving_older_connection_does_not_disconnect_the_newer():
    connections = Connections(limit=1)
    older = connections.claimed("edge", "first")
    older.__enter__()
    with connections.claimed("edge", "second"):
        older.__exit__(None, None, None)

        assert connections.is_connected("edge")


def test_full_house_still_takes_back_who_is_in_it():
    connections = Connections(limit=1)
    with connections.claimed("edge", "first"):
        assert connections.has_room_for("edge")
        assert not connections.has_room_for("another")
