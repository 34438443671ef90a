import asyncio
import os
from pathlib import Path

import pytest

from edged.datasets import commits as module
from edged.datasets.commits import Commits
from edged.datasets.layout import Layout
from edged.datasets.writer import LogWriter
from edged.errors import LogUnwritable
from tests.fakes.clock import FakeClock

NOON = 1_763_899_200.0  # 2025-11-23T12:00:00Z


@pytest.fixture
def writer(tmp_path: Path):
    writer = LogWriter(Layout(tmp_path), "executions", FakeClock(NOON), is_synced=True)
    yield writer
    writer.close()


@pytest.fixture
def synced(monkeypatch) -> list[int]:
    """Bytes in the file at each fsync."""
    sizes: list[int] = []
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        real(descriptor)
        sizes.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(module.os, "fdatasync", sync)
    return sizes


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("policy", ["never", "interval"])
async def test_an_answer_waits_for_no_disk_unless_always(writer, policy):
    told = []

    Commits(writer, policy, 60).append("spam", [b"1\n"], told.append)

    assert told == [None]


async def test_with_always_an_answer_leaves_after_its_lines_are_synced(writer, synced):
    log = Commits(writer, "always", 60)
    told: list[int] = []

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(log.run())
        log.append("spam", [b"1\n"], lambda _error: told.append(len(synced)))
        assert told == []
        await log.write("spam", [b"2\n"])
        running.cancel()

    assert told == [1]
    assert synced == [4]


async def test_appends_that_come_during_a_sync_share_the_next(writer, synced):
    log = Commits(writer, "always", 60)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(log.run())
        await log.write("spam", [b"0\n"])
        await asyncio.gather(*(log.write("spam", [b"x\n"]) for _ in range(50)))
        running.cancel()

    assert sum(synced) == 2 + 102


async def test_an_interval_syncs_what_was_appended(writer, monkeypatch):
    loop, is_synced = asyncio.get_running_loop(), asyncio.Event()
    monkeypatch.setattr(
        module.os, "fdatasync", lambda _descriptor: loop.call_soon_threadsafe(is_synced.set)
    )
    log = Commits(writer, "interval", 0.001)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(log.run())
        await log.write("spam", [b"1\n"])
        await is_synced.wait()
        running.cancel()

    assert writer.unsynced() == []


async def test_what_is_appended_last_is_synced_at_the_end(writer, synced):
    log = Commits(writer, "interval", 60)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(log.run())
        await asyncio.sleep(0)
        await log.write("spam", [b"1\n"])
        running.cancel()

    assert synced == [2]


async def test_a_sync_that_fails_tells_everyone_who_waited(writer, monkeypatch):
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module.os, "fdatasync", fail)
    log = Commits(writer, "always", 60)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(log.run())
        with pytest.raises(LogUnwritable, match="Input/output error"):
            await log.write("spam", [b"1\n"])
        running.cancel()


async def test_files_of_past_days_are_synced_and_closed_too(tmp_path, synced):
    clock = FakeClock(NOON)
    writer = LogWriter(Layout(tmp_path), "executions", clock, is_synced=True)
    log = Commits(writer, "always", 60)
    before = open_files()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(log.run())
        for _ in range(5):
            clock.advance(86_400)
            first = asyncio.ensure_future(log.write("spam", [b"1\n"]))
            await asyncio.sleep(0)
            clock.advance(86_400)
            await asyncio.gather(first, log.write("spam", [b"22\n"]))
        running.cancel()
    writer.close()

    assert sum(synced) == 5 * (2 + 3)
    assert open_files() == before
