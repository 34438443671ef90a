"""How the agent sees an erasure through, here and at home."""

import asyncio
import errno
import time
from collections import Counter

import orjson
import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent import erasing as module_of_erasing
from edged.agent import erasures as module
from edged.agent.batches import BatchFolder
from edged.agent.erasures import ErasureFolder, Erasures, Request
from edged.agent.statistics import Statistician
from edged.agent.telemetry import Batcher
from edged.commands.privacy.erase import carry_out
from edged.datasets.layout import Layout
from edged.datasets.statistics import OTHER
from edged.deployment.telling import Telemetry
from tests.edged.agent.erasing import (
    DAY_S,
    MARKER,
    TODAY_S,
    execution,
    identifier,
    validation,
    write,
)
from tests.fakes.validating import until


@pytest.mark.usefixtures("request_")
async def test_an_agent_that_dies_while_it_erases_has_noted_the_ids(filled, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module_of_erasing, "rewrite", full)
    erasures = Erasures(filled, BatchFolder(filled), [], has_home=True)

    with pytest.raises(OSError, match="No space"):
        await see_through(erasures, filled)

    [request] = ErasureFolder(filled).open_requests()
    assert len(request.execution_ids) == 3


@pytest.mark.usefixtures("request_")
def test_the_agent_leaves_requests_alone_while_a_command_is_at_work(filled):
    folder = ErasureFolder(filled)

    with folder.at_work():
        meanwhile = folder.left_requests()

    assert meanwhile == []
    assert [each.erasure_id for each in folder.left_requests()] == ["e1"]


def counted(layout: Layout) -> dict[str, int]:
    days = (layout.analytics("spam")).glob("daily-stats-*.json")
    return dict(
        sum((Counter(orjson.loads(day.read_bytes())["outputs"]) for day in days), Counter())
    )


async def erase_by_agent(layout: Layout, statistician: Statistician, *matches: str) -> None:
    request = Request(
        erasure_id="e2",
        task="spam",
        matches=[*matches],
        execution_ids=[],
        requested_at=time.time(),
    )
    folder = ErasureFolder(layout)
    with folder.at_work():
        carry_out(request, request.eraser(layout), folder)
    batches, forget_outputs = BatchFolder(layout), statistician.forget_outputs
    erasures = Erasures(layout, batches, [], has_home=False, forget_outputs=forget_outputs)
    await see_through(erasures, layout)


async def test_an_output_of_the_subject_counts_without_its_name(layout):
    lines = [execution(1, MARKER, "ann@example.com"), execution(2, MARKER), execution(3, "Bee")]
    for days in (1, 0):
        write(layout, "executions", TODAY_S - days * DAY_S, *lines)
    statistician = Statistician(layout)
    statistician.counter.count()
    statistician.counter.save()
    before = counted(layout)

    await erase_by_agent(layout, statistician, MARKER)

    assert before == {'"ann@example.com"': 2, '"spam"': 4}
    assert counted(layout) == {OTHER: 2, '"spam"': 4}


async def test_a_name_is_forgotten_where_its_execution_expired_or_is_not_saved(layout):
    path = write(layout, "executions", TODAY_S - DAY_S, execution(1, "Bee", "ann@example.com"))
    statistician = Statistician(layout)
    statistician.counter.count()
    statistician.counter.save()
    path.unlink()
    write(layout, "executions", TODAY_S, execution(2, MARKER, "ann@example.com"))
    statistician.counter.count()

    await erase_by_agent(layout, statistician, "ann@example.com")

    assert counted(layout) == {OTHER: 2}


class Holder:
    """Keeps what it was told to forget."""

    def __init__(self) -> None:
        self.forgotten: frozenset[str] = frozenset()

    def forget_executions(self, _task: str, execution_ids: frozenset[str]) -> None:
        self.forgotten |= execution_ids


async def see_through(erasures: Erasures, layout: Layout) -> None:
    for request in list(ErasureFolder(layout).open_requests()):
        await erasures._see_through(request)


@pytest.mark.usefixtures("request_")
async def test_the_agent_erases_asks_home_in_parts_and_forgets_the_subject(filled, monkeypatch):
    monkeypatch.setattr(module, "LAST_PASS_S", 0.0)
    monkeypatch.setattr(module, "PART_IDS", 2)
    holder, asked = Holder(), []
    erasures = Erasures(filled, BatchFolder(filled), [holder], has_home=True)

    await see_through(erasures, filled)
    [request] = ErasureFolder(filled).open_requests()
    asked += list(erasures._unacknowledged(request))
    for part in asked:
        erasures.acknowledge(wire.ErasureAck(erasure_id="e1", part=part.part, erased=5))
    await see_through(erasures, filled)

    wanted = {identifier(1), identifier(2), identifier(3)}
    assert {each for part in asked for each in part.execution_ids} == wanted
    assert [part.part for part in asked] == [0, 1]
    assert holder.forgotten == wanted
    assert list(ErasureFolder(filled).open_requests()) == []
    [path] = (filled.state / "erasures").glob("*.json")
    account = orjson.loads(path.read_bytes())
    assert (account["erased_at_home"], account["execution_ids"]) == (10, [])
    assert MARKER.encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("request_")
async def test_what_is_not_acknowledged_stays_open_over_a_restart(filled, monkeypatch):
    monkeypatch.setattr(module, "LAST_PASS_S", 0.0)
    for _ in range(2):
        erasures = Erasures(filled, BatchFolder(filled), [], has_home=True)
        await see_through(erasures, filled)
        await see_through(erasures, filled)

    [request] = ErasureFolder(filled).open_requests()
    assert len(request.execution_ids) == 3


@pytest.mark.usefixtures("request_")
async def test_without_home_it_is_done_with_the_last_pass(filled, monkeypatch):
    monkeypatch.setattr(module, "LAST_PASS_S", 0.0)
    erasures = Erasures(filled, BatchFolder(filled), [], has_home=False)

    await see_through(erasures, filled)
    await see_through(erasures, filled)

    assert list(ErasureFolder(filled).open_requests()) == []


async def test_an_open_batch_forgets_and_takes_no_more(layout, make_releaser, recorder, clock):
    write(layout, "validations", TODAY_S, validation(3, MARKER), validation(4, "Bee"))
    folder = BatchFolder(layout)
    releaser = make_releaser("permissive")
    batcher = Batcher(layout, folder, Telemetry(), releaser, recorder, "log-1", clock, clock)
    await batcher.follow()

    batcher.forget_executions("spam", frozenset({identifier(3)}))
    write(layout, "validations", TODAY_S, validation(3, MARKER))
    batcher.flush()

    batch = wire.TelemetryBatch.FromString(folder.read(1))
    assert [each.execution_id for each in batch.executions] == [identifier(4)]
    assert MARKER.encode() not in batch.SerializeToString()


async def test_a_request_that_cannot_be_worked_off_holds_up_no_other(filled):
    folder = ErasureFolder(filled)
    for erasure_id, match in (("e0", "$.phone="), ("e1", MARKER)):
        request = Request(
            erasure_id=erasure_id,
            task="spam",
            matches=[match],
            execution_ids=[],
            requested_at=time.time(),
        )
        folder.add(request)
    erasures = Erasures(filled, BatchFolder(filled), [], has_home=False)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(erasures.run())
        await until(lambda: any(each.passes for each in folder.open_requests()))
        running.cancel()

    assert {each.erasure_id: each.passes for each in folder.open_requests()} == {"e0": 0, "e1": 1}
