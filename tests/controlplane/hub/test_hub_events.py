import asyncio
import json

import pytest

from controlplane.errors import HubFull
from controlplane.hub import hub as hubs
from controlplane.hub.hub import Hub
from controlplane.hub.subscriber import Subscriber, Wish
from controlplane.storage import outbox
from controlplane.storage.events import Event, publish
from controlplane.storage.models import OutboxRow
from controlplane.storage.outbox import OutboxFollower, Wakeups

ALL = Wish(organisation_id="default")


async def figures(organisation_id, task):
    return {"of": f"{organisation_id}/{task}"}


def hub_on(clock, **settings):
    return Hub(figures, clock, **settings)


def event(clock, number=0, *, task="spam", kind="OnTicket", organisation_id="default"):
    return Event(
        kind=kind,
        organisation_id=organisation_id,
        task=task,
        at=clock(),
        content={"number": number},
    )


def counted(clock, task):
    return OutboxRow(
        organisation_id="default", topic=outbox.TELEMETRY, subject=task, created_at=clock()
    )


async def publish_and_fail(database, clock):
    async with database.writing() as session:
        publish(session, clock, organisation_id="default", kind="OnTicket", task="a", content={})
        raise ZeroDivisionError


async def test_event_of_a_committed_change_reaches_its_followers(database, clock):
    hub = hub_on(clock)
    follower = OutboxFollower(database, Wakeups(), clock, take=hub.take)
    with hub.subscribed(ALL) as subscriber:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follower.run())
            await asyncio.sleep(0.05)
            async with database.writing() as session:
                publish(
                    session,
                    clock,
                    organisation_id="default",
                    kind="OnRolloutStep",
                    task="spam",
                    content={"stage": 1, "reason": "enough executions"},
                )

            message = await asyncio.wait_for(anext(subscriber), 5)

            following.cancel()
    assert json.loads(json.dumps(message)) == {
        "event": "OnRolloutStep",
        "task": "spam",
        "at": "2026-11-23T10:00:00.000Z",
        "stage": 1,
        "reason": "enough executions",
    }


async def test_change_that_is_rolled_back_tells_nobody(database, clock):
    hub = hub_on(clock)
    follower = OutboxFollower(database, Wakeups(), clock, take=hub.take)
    with hub.subscribed(ALL) as subscriber:
        with pytest.raises(ZeroDivisionError):
            await publish_and_fail(database, clock)
        await follower._follow(0)

        subscriber.close()

        assert [message async for message in subscriber] == []


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (ALL, [1, 2, 3]),
        (Wish(organisation_id="default", tasks=frozenset({"spam"})), [1, 3]),
        (Wish(organisation_id="default", kinds=frozenset({"OnRolloutStep"})), [3]),
        (
            Wish(organisation_id="default", tasks=frozenset({"x"}), kinds=frozenset({"OnTicket"})),
            [2],
        ),
    ],
)
async def test_follower_gets_what_it_wished_for_and_nothing_of_other_organisations(
    clock, wish, expected
):
    hub = hub_on(clock)
    with hub.subscribed(wish) as subscriber:
        hub.publish(event(clock, 1))
        hub.publish(event(clock, 2, task="x"))
        hub.publish(event(clock, 3, kind="OnRolloutStep"))
        hub.publish(event(clock, 4, organisation_id="other"))

        got = [(await anext(subscriber))["number"] for _ in expected]

        assert got == expected
        assert not subscriber._waiting


async def test_slow_follower_loses_the_oldest_and_is_told_how_many(clock):
    subscriber = Subscriber(ALL, queued=3)
    for number in range(10):
        subscriber.offer(event(clock, number))

    first, second = await anext(subscriber), await anext(subscriber)

    assert (first["number"], first["dropped"]) == (7, 7)
    assert second["number"] == 8
    assert "dropped" not in second


async def test_metrics_are_told_once_an_interval_however_often_they_are_counted(clock):
    hub = hub_on(clock, metric_interval_s=60)
    with hub.subscribed(ALL) as subscriber:
        hub.take([counted(clock, "spam") for _ in range(100)] + [counted(clock, "other")])
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(hub.run())
            messages = [await asyncio.wait_for(anext(subscriber), 5) for _ in range(2)]
            hub.take([counted(clock, "spam")])
            await asyncio.sleep(0.01)

            running.cancel()

        assert [each["metrics"]["of"] for each in messages] == ["default/spam", "default/other"]
        assert not subscriber._waiting


async def test_metrics_are_not_read_for_nobody(clock):
    asked = []

    async def read(organisation_id, task):
        asked.append(task)
        return {}

    hub = Hub(read, clock, metric_interval_s=0)
    tickets = Wish(organisation_id="default", kinds=frozenset({"OnTicket"}))
    with hub.subscribed(tickets):
        hub.take([counted(clock, "spam")])
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(hub.run())
            await asyncio.sleep(0.02)

            running.cancel()

    assert asked == []


async def test_metrics_that_cannot_be_read_do_not_end_the_hub(clock):
    calls = []

    async def read(organisation_id, task):
        calls.append(task)
        if len(calls) == 1:
            raise OSError("no database")
        return {"fine": True}

    hub = Hub(read, clock, metric_interval_s=0)
    with hub.subscribed(ALL) as subscriber:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(hub.run())
            hub.take([counted(clock, "first"), counted(clock, "second")])

            message = await asyncio.wait_for(anext(subscriber), 5)

            running.cancel()
    assert message["task"] == "second"


async def test_closing_ends_followers_present_and_future(clock):
    hub = hub_on(clock)
    with hub.subscribed(ALL) as present:
        hub.close()

        with hub.subscribed(ALL) as late:
            assert [message async for message in present] == []
            assert [message async for message in late] == []


async def test_followers_are_limited(clock, monkeypatch):
    monkeypatch.setattr(hubs, "MAX_SUBSCRIBERS", 1)
    hub = hub_on(clock)
    with hub.subscribed(ALL), pytest.raises(HubFull), hub.subscribed(ALL):
        pass

    with hub.subscribed(ALL):
        assert len(hub._subscribers) == 1
