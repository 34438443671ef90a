import asyncio

from edged.agent.alone import alone


async def test_the_next_agent_waits_until_the_one_before_has_ended(layout):
    order = []

    async def agent(name: str, may_end: asyncio.Event) -> None:
        async with alone(layout, asyncio.Event()):
            order.append(f"{name} begins")
            await may_end.wait()
            order.append(f"{name} ends")

    first, second = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(agent("first", first))
        await asyncio.sleep(0)
        tasks.create_task(agent("second", second))
        second.set()
        await asyncio.sleep(0)
        first.set()

    assert order == ["first begins", "first ends", "second begins", "second ends"]


async def test_one_that_is_told_to_stop_while_it_waits_does_not_begin(layout):
    stop = asyncio.Event()
    stop.set()

    async with alone(layout, asyncio.Event()) as first, alone(layout, stop) as second:
        assert (first, second) == (True, False)
