import pytest
from ddsketch.pb.ddsketch_pb2 import DDSketch as SketchMessage
from ddsketch.pb.proto import DDSketchProto
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batches import BatchFolder
from edged.agent.telemetry import Batcher
from edged.datasets.layout import Layout
from edged.datasets.records import Execution, render
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
        writer.append("spam", [render(execution, "")] * count)

    yield append
    writer.close()


@pytest.fixture
def start(layout, clock, releaser):
    """Return a function that starts a batcher, as after a restart of the agent."""

    def start(batch_size: int = 1000) -> Batcher:
        settings = Telemetry(upload_interval_sec=60, batch_size=batch_size)
        return Batcher(layout, BatchFolder(layout), settings, releaser, "log-1", clock, clock)

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


async def test_a_full_batch_is_closed_by_size(layout, append, start):
    append(5)

    await start(batch_size=5).follow()

    assert executions(layout) == [5]


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
