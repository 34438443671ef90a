import asyncio

from sqlalchemy import func, select

from controlplane.storage import outbox
from controlplane.storage.models import OutboxRow
from controlplane.storage.outbox import KEEP, OutboxFollower, Wakeups


async def announce(database, clock, subject):
    async with database.writing() as session:
        outbox.announce(
            session, clock, organisation_id="default", topic=outbox.FLEET, subject=subject
        )


async def test_waiter_is_woken_by_a_row_of_its_subject_only(database, clock):
    wakeups = Wakeups()
    follower = OutboxFollower(database, wakeups, clock)
    with (
        wakeups.subscribed(outbox.FLEET, "mine") as mine,
        wakeups.subscribed(outbox.FLEET, "other") as other,
    ):
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follower.run())
            await asyncio.sleep(0.05)

            await announce(database, clock, "mine")
            await asyncio.wait_for(mine.wait(), 5)

            following.cancel()
        assert not other.is_set()


async def test_closing_wakes_everybody():
    wakeups = Wakeups()
    with wakeups.subscribed(outbox.FLEET, "mine") as mine:
        wakeups.close()

        assert mine.is_set()


async def test_old_rows_are_pruned_but_never_the_newest(database, clock):
    for _ in range(3):
        await announce(database, clock, "mine")
    follower = OutboxFollower(database, Wakeups(), clock)
    clock.advance(KEEP.total_seconds() + 1)

    await follower._prune(await follower._last_id())

    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(OutboxRow)) == 1
