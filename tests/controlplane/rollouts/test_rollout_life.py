import pytest

from controlplane.errors import RolloutRefused, RolloutUnknown
from controlplane.fleet.targets import Targets
from controlplane.rollouts.plan import RolloutSettings


async def state_of(world):
    (target,) = (await Targets(world.database, world.clock).current("default")).targets
    return target


async def test_started_rollout_stands_beside_the_stable_version_in_every_state(world):
    rollout = await world.start()

    target = await state_of(world)
    assert (target.stable.version, target.trial.candidate.version) == (1, 2)
    assert target.trial.rollout_id == rollout.id
    assert [stage["weight"] for stage in target.trial.plan["stages"]] == [0.1, 0.5, 1.0]


async def test_version_is_active_once_every_live_edge_has_promoted_it(world):
    first, second = await world.edge(), await world.edge()
    rollout = await world.start()

    await world.decide(first, rollout, "promote")
    assert await world.rollouts.settle() == []
    await world.decide(second, rollout, "promote")
    (ended,) = await world.rollouts.settle()

    assert (ended.status, ended.reason) == ("promoted", "promoted by 2 edges")
    assert await world.statuses() == {1: "deprecated", 2: "active"}
    assert (await state_of(world)).trial is None
    assert await world.rollouts.settle() == []


async def test_edge_that_fell_silent_or_never_served_the_task_is_not_waited_for(world):
    silent = await world.edge()
    world.clock.advance(120)
    await world.edge(serving=0)
    deciding = await world.edge()
    rollout = await world.start()

    await world.decide(deciding, rollout, "promote")

    assert [row.status for row in await world.rollouts.settle()] == ["promoted"]
    await world.hear(silent)
    assert (await state_of(world)).version == 2


async def test_one_edge_that_rolls_back_ends_it_everywhere(world):
    first, second = await world.edge(), await world.edge()
    rollout = await world.start()
    await world.decide(first, rollout, "promote")

    await world.decide(second, rollout, "roll_back", "FAIL", "timeouts 4 %")
    (ended,) = await world.rollouts.settle()

    assert ended.status == "rolled_back"
    assert "timeouts 4 %" in ended.reason
    assert await world.statuses() == {1: "active", 2: "quarantined"}
    assert (await state_of(world)).trial is None
    with pytest.raises(RolloutRefused, match="quarantined"):
        await world.start()


async def test_withdrawal_without_a_verdict_says_nothing_against_the_version(world):
    edge = await world.edge()
    rollout = await world.start()

    await world.decide(edge, rollout, "roll_back", "INCONCLUSIVE", "labels are spent")
    (ended,) = await world.rollouts.settle()

    assert ended.status == "withdrawn"
    assert await world.statuses() == {1: "active", 2: "validated"}


async def test_waiting_decisions_end_nothing(world):
    edge = await world.edge()
    rollout = await world.start()

    await world.decide(edge, rollout, "wait", "INCONCLUSIVE")
    await world.decide(edge, rollout, "advance")

    assert await world.rollouts.settle() == []


async def test_decision_sent_twice_is_one_step(world):
    edge = await world.edge()
    rollout = await world.start()

    for _ in range(2):
        await world.decide(edge, rollout, "advance", decision_id="same")

    assert len(await world.rollouts.steps(rollout.id)) == 1


async def test_orders_of_a_person_go_down_and_change_the_status(world):
    rollout = await world.start()

    for kind, status in (("pause", "paused"), ("resume", "running"), ("abort", "aborted")):
        row = await world.rollouts.order("default", rollout.id, kind, "why not")
        assert row.status == status
        world.clock.advance(1)

    state = await Targets(world.database, world.clock).current("default")
    assert [order.kind for order in state.orders] == ["pause", "resume", "abort"]
    assert {order.rollout_id for order in state.orders} == {rollout.id}
    assert state.targets[0].trial is None
    assert await world.statuses() == {1: "active", 2: "validated"}
    with pytest.raises(RolloutRefused, match="aborted cannot force"):
        await world.rollouts.order("default", rollout.id, "force", "")


async def test_improvement_starts_one_rollout_however_often_it_is_resumed(world):
    from controlplane.improvement.improvements import Improvements, Trigger

    trigger = Trigger(
        organisation_id="default",
        task_id=world.task.id,
        task="spam",
        version=1,
        evidence={},
        reason="",
        labels_known=0,
    )
    improvement = await Improvements(world.database, world.clock).trigger(trigger)

    first = await world.start(improvement_id=improvement.id)
    second = await world.start(improvement_id=improvement.id)

    assert first.id == second.id
    with pytest.raises(RolloutRefused, match="still open"):
        await world.start()


async def test_activating_directly_ends_the_rollout_beside_it(world):
    rollout = await world.start()
    third = await world.publish(activate=True)

    row = await world.rollouts.find("default", rollout.id)

    assert (third.status, row.status) == ("active", "aborted")
    assert "v3 was activated directly" in row.reason


async def test_what_cannot_be_rolled_out_is_refused_with_the_reason(world):
    with pytest.raises(RolloutRefused, match="no version v9"):
        await world.start(9)
    with pytest.raises(RolloutRefused, match="v1 is active"):
        await world.start(1)
    with pytest.raises(RolloutUnknown):
        await world.rollouts.find("theirs", (await world.start()).id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stage_weights": ()},
        {"stage_weights": (0.5, 0.1)},
        {"stage_weights": (0.5, 1.5)},
        {"shadow_rate": 2.0},
        {"stage_min_executions": 0},
    ],
)
def test_plan_that_makes_no_sense_is_refused_at_start(wrong):
    with pytest.raises(ValueError, match=r"must|cannot"):
        RolloutSettings(**wrong)
