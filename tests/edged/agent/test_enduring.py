"""A part of the agent that fails is tried again, and the others do not notice."""

import asyncio

import pytest

from edged.agent import enduring
from edged.errors import KeyMissing


@pytest.fixture
def waits(monkeypatch):
    """Return the attempts that were waited for; a wait takes no time."""
    attempts = []
    monkeypatch.setattr(enduring, "DISK_RETRY_S", 0.0)
    monkeypatch.setattr(
        enduring, "full_jitter_s", lambda attempt, **_: attempts.append(attempt) or 0.0
    )
    return attempts


class Part:
    """Fails in each of the given ways, then ends."""

    def __init__(self, *faults: BaseException) -> None:
        self.faults = list(faults)

    async def run(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


async def test_a_part_that_fails_is_tried_again_later_and_later(waits):
    part = Part(RuntimeError("a bug"), KeyMissing(key="a"), ExceptionGroup("", [KeyError("a")]))

    await enduring.enduring("part", part.run)

    assert part.faults == []
    assert waits == [0, 1, 2]


async def test_a_part_that_fails_takes_no_other_with_it(waits):
    other = asyncio.Event()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(enduring.enduring("a", Part(ValueError("a bug")).run))
        running = tasks.create_task(enduring.enduring("b", other.wait))
        await asyncio.sleep(0)
        other.set()
        await running


async def test_a_part_waits_for_a_disk_that_refuses(waits):
    part = Part(OSError(28, "No space left on device"))

    await enduring.enduring("part", part.run)

    assert (part.faults, waits) == ([], [])


async def test_a_part_that_is_cancelled_ends(waits):
    running = asyncio.get_running_loop().create_future()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(enduring.enduring("part", lambda: _wait(running)))
        await asyncio.sleep(0)
        task.cancel()

    assert task.cancelled()


async def _wait(future: "asyncio.Future[None]") -> None:
    await future
