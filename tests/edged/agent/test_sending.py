"""How sealed batches leave: noted first, and never larger than home takes a message."""

import asyncio
from collections.abc import Callable

import orjson
import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent import sending
from edged.agent.batch_file import Checkpoint
from edged.agent.batches import BatchFolder
from edged.agent.sending import TOO_LARGE, TOO_LARGE_AT_ALL, BatchSender
from edged.agent.telemetry import Batcher
from edged.deployment.telling import Telemetry

MAX_BYTES = 5_000


@pytest.fixture
def folder(layout) -> BatchFolder:
    folder = BatchFolder(layout)
    folder.open()
    return folder


@pytest.fixture
def seal(folder, releaser) -> Callable[[wire.TelemetryBatch], None]:
    def seal(batch: wire.TelemetryBatch) -> None:
        checkpoint = Checkpoint(number=batch.number, positions={})
        content = batch.SerializeToString()
        folder.seal(checkpoint, content, filtered_by=releaser.privacy.fingerprint)

    return seal


@pytest.fixture
def sender(layout, folder, releaser, recorder, clock) -> BatchSender:
    batcher = Batcher(layout, folder, Telemetry(), releaser, recorder, "log-1", clock, clock)
    return BatchSender(folder, batcher, releaser, "d")


def batch(number: int, *, record_bytes: int = 0, arms: int = 1) -> wire.TelemetryBatch:
    counts = [wire.ArmSummary(task=f"task-{at}", executions=3) for at in range(arms)]
    record = wire.ExecutionSummary(execution_id="e", input_json=b"1" * record_bytes)
    return wire.TelemetryBatch(log_id="log-1", number=number, arms=counts, executions=[record])


async def sent(sender: BatchSender, count: int, **how: int) -> list[wire.TelemetryBatch]:
    messages: asyncio.Queue[wire.ConnectRequest] = asyncio.Queue()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sender.run(messages.put, interval_s=0, **how))
        taken = [await messages.get() for _ in range(count)]
        running.cancel()
    max_bytes = how.get("max_bytes", sending.MAX_MESSAGE_BYTES)
    assert all(message.ByteSize() <= max_bytes for message in taken)
    return [message.telemetry for message in taken]


async def first_sent(sender: BatchSender, **how: int) -> wire.TelemetryBatch:
    [message] = await sent(sender, 1, **how)
    return message


def audited(layout) -> list[dict]:
    [path] = layout.audit.glob("*.jsonl")
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def test_a_batch_that_home_would_not_take_leaves_without_its_records(sender, folder, seal):
    seal(batch(1, record_bytes=MAX_BYTES))

    sent = await first_sent(sender, max_bytes=MAX_BYTES)

    assert (list(sent.executions), sent.arms[0].executions) == ([], 3)
    assert dict(sent.dropped) == {TOO_LARGE: 1}
    assert wire.TelemetryBatch.FromString(folder.read(1)).dropped == sent.dropped


async def test_a_batch_that_fits_leaves_whole(sender, seal):
    seal(batch(1, record_bytes=MAX_BYTES - 200))

    sent = await first_sent(sender, max_bytes=MAX_BYTES)

    assert (len(sent.executions), dict(sent.dropped)) == (1, {})


async def test_a_batch_whose_counts_are_too_large_lets_the_next_one_leave(sender, folder, seal):
    seal(batch(1, arms=1_000))
    seal(batch(2))

    sent = await first_sent(sender, max_bytes=MAX_BYTES)

    assert (sent.number, folder.pending()) == (2, [2])
    assert folder.dropped == {TOO_LARGE_AT_ALL: 3_000, TOO_LARGE: 1}


@pytest.mark.parametrize(("log_id", "number"), [("log-1", 3), ("log-1", 2**63), ("log-2", 2)])
async def test_nothing_goes_for_an_acknowledgement_of_what_was_not_sent(
    sender, folder, seal, log_id, number
):
    for each in (1, 2):
        seal(batch(each))
    messages = await sent(sender, 2)
    seal(batch(3))

    sender.acknowledge(wire.TelemetryAck(log_id=log_id, number=number))
    kept = folder.pending()
    sender.acknowledge(wire.TelemetryAck(log_id="log-1", number=2))

    assert [message.number for message in messages] == [1, 2]
    assert (kept, folder.pending()) == ([1, 2, 3], [3])


async def test_acknowledgements_out_of_order_let_go_of_what_was_counted(sender, folder, seal):
    for each in (1, 2, 3):
        seal(batch(each))
    await sent(sender, 3)

    for number in (2, 1, 2):
        sender.acknowledge(wire.TelemetryAck(log_id="log-1", number=number))

    assert folder.pending() == [3]


async def test_what_a_batch_tells_beside_its_records_is_in_the_audit_log(sender, layout, seal):
    told = batch(1)
    told.decisions.add(reason="errors 1.0 % against 0.0 %")
    seal(told)

    await first_sent(sender)

    counts, decision = audited(layout)
    assert (counts["what"], counts["bytes"]) == ("counts", told.arms[0].ByteSize())
    assert (decision["what"], decision["mode"]) == ("decision", "balanced")


async def test_a_batch_waits_until_the_audit_log_can_be_written(sender, layout, seal, monkeypatch):
    monkeypatch.setattr(sending, "AGAIN_S", 0.02)
    seal(batch(1))
    layout.audit.write_text("in the way")

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        sent = tasks.create_task(first_sent(sender))
        await asyncio.sleep(0.1)
        was_sent_before = sent.done()
        layout.audit.unlink()

    assert (was_sent_before, sent.result().number) == (False, 1)
    assert [line["what"] for line in audited(layout)] == ["counts"]
