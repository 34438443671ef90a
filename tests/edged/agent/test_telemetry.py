import asyncio
import subprocess
from pathlib import Path

import pytest
from ddsketch.pb.ddsketch_pb2 import DDSketch as SketchMessage
from ddsketch.pb.proto import DDSketchProto
from loopai.control.v1 import link_pb2 as wire

from edged.agent import batches, releasing
from edged.agent.batches import BatchFolder
from edged.agent.counting import MAX_OUTPUTS, OTHER
from edged.agent.privacy.modes import Mode
from edged.agent.sending import BatchSender
from edged.agent.telemetry import BACKLOG, REST_S, UNLOGGED, Batcher
from edged.datasets.forced import ForcedNotes
from edged.datasets.layout import Layout
from edged.datasets.naming import LogName
from edged.datasets.records import Execution, render
from edged.datasets.retention import StoredFile
from edged.datasets.unlogged import UnloggedNotes, run_id
from edged.datasets.writer import LogWriter
from edged.deployment.telling import Telemetry


@pytest.fixture
def append(layout, clock):
    writer = LogWriter(layout, "executions", clock)

    def append(count: int, **fields: object) -> None:
        values = {"status": "success", "latency_ms": 2.0, "confidence": None, **fields}
        execution = Execution(
            execution_id="1", task="spam", version=1, arm="stable", input_json=b"1", **values
        )
        writer.append("spam", [render(execution, "2026-01-01T00:00:00.000Z")] * count)

    yield append
    writer.close()


@pytest.fixture
def start(layout, clock, releaser, recorder):
    """Return a function that starts a batcher, as after a restart of the agent."""

    def start(batch_size: int = 1000) -> Batcher:
        settings = Telemetry(upload_interval_sec=60, batch_size=batch_size)
        folder = BatchFolder(layout)
        return Batcher(layout, folder, settings, releaser, recorder, "log-1", clock, clock)

    return start


def sealed(layout: Layout) -> list[wire.TelemetryBatch]:
    folder = BatchFolder(layout)
    return [wire.TelemetryBatch.FromString(folder.read(number)) for number in folder.pending()]


def executions(layout: Layout) -> list[int]:
    return [sum(arm.executions for arm in batch.arms) for batch in sealed(layout)]


async def test_a_quiet_batch_is_closed_by_age(layout, clock, append, start):
    batcher = start()
    append(3)

    await batcher.follow()
    young = executions(layout)
    clock.advance(60)
    await batcher.follow()

    assert young == []
    assert executions(layout) == [3]


async def test_what_was_answered_without_a_line_is_told_once(layout, clock, append, start):
    notes, run = UnloggedNotes(layout), run_id()
    notes.write(run, 3)
    batcher = start()
    await batcher.follow()
    await batcher.follow()
    notes.write(run, 7)  # and the agent dies before the first batch

    batcher = start()
    await batcher.follow()
    clock.advance(60)
    await batcher.follow()
    start().flush()
    notes.write(run, 9)
    start().flush()

    assert [dict(batch.dropped) for batch in sealed(layout)] == [{UNLOGGED: 7}, {UNLOGGED: 2}]


async def test_what_the_size_limit_took_unread_is_told_once(layout, clock, start):
    notes, path = ForcedNotes(layout), layout.log("spam", "executions") / "2026-11-20.jsonl"
    file = StoredFile(
        path=path, task="spam", kind="executions", name=LogName("2026-11-20"), size_bytes=9_000
    )
    notes.add(file, 600)
    await start().follow()  # and the agent dies before the first batch

    batcher = start()
    await batcher.follow()
    clock.advance(60)
    await batcher.follow()
    notes.add(file, 5)
    start().flush()

    limit = "storage limit: executions"
    assert [dict(batch.dropped) for batch in sealed(layout)] == [{limit: 600}, {limit: 5}]


def test_a_gateway_run_that_is_over_and_told_leaves_no_file(layout, start):
    ended = subprocess.Popen(["true"])
    ended.wait()
    notes, past, present = UnloggedNotes(layout), f"1-{ended.pid}", run_id()
    notes.write(past, 3)
    notes.write(present, 4)

    start().flush()
    left = notes.read()
    notes.write(present, 5)
    batcher = start()
    batcher.flush()

    assert left == {present: 4}
    assert BatchFolder(layout).open().unlogged == {present: 5}
    assert [dict(batch.dropped) for batch in sealed(layout)] == [{UNLOGGED: 7}, {UNLOGGED: 1}]


async def test_a_full_batch_is_closed_by_size(layout, append, start):
    append(5)

    await start(batch_size=5).follow()

    assert executions(layout) == [5]


async def test_counts_alone_close_no_batch_right_after_the_last(layout, clock, append, start):
    batcher = start(batch_size=5)
    for _ in range(3):
        append(5)
        await batcher.follow()
    hurried = executions(layout)

    clock.advance(REST_S)
    await batcher.follow()

    assert hurried == [5]
    assert executions(layout) == [5, 10]


async def test_nothing_new_seals_nothing(layout, clock, start):
    batcher = start()

    clock.advance(600)
    await batcher.follow()

    assert sealed(layout) == []


async def test_a_restart_counts_every_execution_once(layout, append, start):
    append(5)
    await start(batch_size=5).follow()
    append(2)
    await start().follow()  # killed with two counted in memory only
    append(5)

    await start(batch_size=5).follow()

    assert executions(layout) == [5, 7]
    assert [batch.number for batch in sealed(layout)] == [1, 2]


async def test_a_kill_between_batch_and_checkpoint_counts_once(layout, append, start):
    append(5)
    await start(batch_size=5).follow()
    (layout.state / "telemetry.json").unlink()  # the file that is written second

    await start(batch_size=5).follow()

    assert executions(layout) == [5]


async def test_an_acknowledged_batch_is_dropped_and_its_number_never_reused(layout, append, start):
    append(5)
    await start(batch_size=5).follow()
    BatchFolder(layout).acknowledge(1)
    append(5)

    await start(batch_size=5).follow()

    assert [batch.number for batch in sealed(layout)] == [2]


async def test_an_arm_is_summed_by_outcome_latency_and_confidence(layout, append, start):
    append(3, confidence=0.95)
    append(1, status="error", error_type="E", latency_ms=200.0)
    append(1, status="timeout", error_type="T", is_cut_by_caller=True)

    start().flush()

    [arm] = sealed(layout)[0].arms
    sketch = DDSketchProto.from_proto(SketchMessage.FromString(arm.latency_sketch))
    assert dict(arm.outcomes) == {"success": 3, "error": 1, "timeout": 1}
    assert list(arm.confidence_bins) == [0] * 9 + [3]
    assert arm.caller_timeouts == 1
    assert sketch.count == 5
    assert sketch.get_quantile_value(0.5) == pytest.approx(2.0, rel=0.01)


async def test_a_malformed_line_is_counted_as_dropped(layout, append, start):
    append(1)
    path = next(layout.log("spam", "executions").iterdir())
    with path.open("ab") as file:
        file.write(b"nonsense\n")

    start().flush()

    assert dict(sealed(layout)[0].dropped) == {"malformed executions": 1}
    assert executions(layout) == [1]


async def test_outputs_are_counted_by_hash_and_failures_have_none(layout, append, start):
    append(3, output_json=b'"spam"')
    append(2, output_json=b'"ham"')
    append(1, status="error", error_type="E")

    start().flush()

    mix = dict(sealed(layout)[0].arms[0].output_mix)
    assert sorted(mix.values()) == [2, 3]
    assert all(len(name) == 64 for name in mix)


async def test_of_many_different_outputs_the_rest_is_other(layout, append, start):
    for number in range(MAX_OUTPUTS + 5):
        append(1, output_json=str(number).encode())

    start().flush()

    mix = sealed(layout)[0].arms[0].output_mix
    assert len(mix) == MAX_OUTPUTS + 1
    assert mix[OTHER] == 5


async def test_a_long_backlog_lets_counts_wait_for_their_age(layout, clock, append, start):
    for _ in range(BACKLOG):
        append(5)
        await start(batch_size=5).follow()
    batcher = start(batch_size=5)
    append(500)

    await batcher.follow()
    young = len(sealed(layout))
    clock.advance(60)
    await batcher.follow()

    assert young == BACKLOG
    assert executions(layout)[-1] == 500


async def test_home_sets_the_age_of_batches_and_gives_it_back(layout, clock, append, start):
    batcher = start()
    batcher.pace(5)
    append(1)
    await batcher.follow()
    clock.advance(5)
    await batcher.follow()
    batcher.pace(0)
    append(1)
    clock.advance(5)
    await batcher.follow()

    assert executions(layout) == [1]
    assert batcher.upload_interval_s == 60


async def test_samples_leave_without_an_oracle(layout, append, make_recorder, releaser, clock):
    append(1, output_json=b'"ann@example.com"')
    recorder = make_recorder(audit_rate=1.0)
    folder = BatchFolder(layout)

    Batcher(layout, folder, Telemetry(), releaser, recorder, "log-1", clock, clock).flush()

    [record] = sealed(layout)[0].executions
    assert (record.channel, record.inclusion_probability, record.is_sampled) == ("audit", 1, True)
    assert (record.output_json, list(record.erased)) == (b'"[EMAIL]"', ["output EMAIL"])
    assert record.latency_ms == 2.0
    assert list((layout.state / "audit").glob("*.jsonl"))


async def test_what_the_open_batch_holds_obeys_a_floor_that_comes_before_its_seal(
    layout, append, make_recorder, releaser, clock
):
    append(1, output_json=b'"ann likes it"')
    folder, recorder = BatchFolder(layout), make_recorder(audit_rate=1.0)
    batcher = Batcher(layout, folder, Telemetry(), releaser, recorder, "log-1", clock, clock)
    await batcher.follow()
    releaser.tighten(Mode.STRICT)
    batcher.flush()

    [batch] = await sent(BatchSender(folder, batcher, releaser, "d"))

    assert batch.privacy_mode == wire.PRIVACY_MODE_STRICT
    assert [record.output_json for record in batch.executions] == [b""]
    assert b"ann" not in batch.SerializeToString()


async def test_a_floor_that_was_gone_for_a_while_does_not_hide_what_was_taken_meanwhile(
    layout, append, make_recorder, releaser, clock
):
    folder, recorder = BatchFolder(layout), make_recorder(audit_rate=1.0)
    batcher = Batcher(layout, folder, Telemetry(), releaser, recorder, "log-1", clock, clock)
    for floor in (Mode.STRICT, Mode.BALANCED, Mode.STRICT):
        releaser.tighten(floor)
        append(1, output_json=b'"ann likes it"')
        await batcher.follow()
    batcher.flush()

    [batch] = await sent(BatchSender(folder, batcher, releaser, "d"))

    assert b"ann" not in batch.SerializeToString()


async def sent(sender: BatchSender) -> list[wire.TelemetryBatch]:
    """Return every sealed batch as it leaves."""
    messages: asyncio.Queue[wire.ConnectRequest] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sender.run(messages.put, interval_s=0))
        batches = [(await messages.get()).telemetry for _ in range(sender._batches.count)]
        running.cancel()
    return batches


def test_a_floor_that_the_disk_refuses_is_in_force_all_the_same(make_releaser, monkeypatch):
    releaser = make_releaser(Mode.BALANCED)
    monkeypatch.setattr(releasing, "write_whole", refuse)

    with pytest.raises(OSError, match="No space"):
        releaser.tighten(Mode.STRICT)

    assert releaser.mode is Mode.STRICT


async def test_a_batch_that_the_disk_refused_takes_nothing_more_and_counts_once(
    layout, clock, append, start, monkeypatch
):
    batcher = start()
    append(3)
    clock.advance(60)
    with monkeypatch.context() as patch:
        patch.setattr(batches, "write_whole", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                await batcher.follow()
            append(2)
    waiting = batcher.backlog_bytes()

    await batcher.follow()
    batcher.flush()

    assert waiting == 4 * log_bytes(layout) // 7
    assert executions(layout) == [3, 4]


def log_bytes(layout) -> int:
    return sum(path.stat().st_size for path in layout.log("spam", "executions").iterdir())


async def test_a_batch_whose_checkpoint_was_refused_is_sealed_and_noted_later(
    layout, clock, append, start, monkeypatch
):
    batcher = start()
    append(3)
    clock.advance(60)
    real = batches.write_whole

    def refuse_notes(path: Path, content: bytes) -> None:
        real(path, content) if path.suffix == ".batch" else refuse()

    with monkeypatch.context() as patch:
        patch.setattr(batches, "write_whole", refuse_notes)
        await batcher.follow()
        with pytest.raises(OSError, match="No space"):
            batcher._folder.acknowledge(1)
    kept = executions(layout)

    batcher._folder.acknowledge(1)
    append(4)
    restarted = start()
    restarted.flush()

    assert kept == [3]
    assert executions(layout) == [4]


def refuse(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")
