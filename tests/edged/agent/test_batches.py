import gzip
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random

import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batch_file import Checkpoint
from edged.agent.batches import (
    DAMAGED,
    NO_ROOM,
    NO_ROOM_AT_ALL,
    NO_ROOM_FOR_DECISIONS,
    BatchFolder,
)
from edged.datasets.layout import Layout


def batch(number: int, *, records: int = 0) -> bytes:
    """Return a batch that counts three executions and has records of a kilobyte each."""
    message = wire.TelemetryBatch(number=number, arms=[wire.ArmSummary(task="a", executions=3)])
    for at in range(records):
        text = Random(f"{number} {at}").randbytes(1_000)
        message.executions.add(execution_id=f"{number}-{at}", task="a", input_json=text)
    return message.SerializeToString()


def seal(folder: BatchFolder, *numbers: int, records: int = 0) -> None:
    for number in numbers:
        checkpoint = Checkpoint(number=number, positions={})
        folder.seal(checkpoint, batch(number, records=records), filtered_by="f")


@pytest.fixture
def folder(layout: Layout) -> BatchFolder:
    folder = BatchFolder(layout)
    folder.open()
    return folder


def parsed(folder: BatchFolder, number: int) -> wire.TelemetryBatch:
    return wire.TelemetryBatch.FromString(folder.read(number))


def test_a_batch_is_compressed_on_disk_and_knows_its_filter(folder, layout):
    seal(folder, 1, records=1)

    content = next(layout.batches.glob("*.batch")).read_bytes().partition(b"\n")[2]
    assert gzip.decompress(content) == folder.read(1) == batch(1, records=1)
    assert folder.filtered_by(1) == "f"


def test_what_is_pending_is_known_without_and_after_a_restart(folder, layout):
    seal(folder, 1, 2, 3)
    folder.acknowledge(1)

    for known in (folder, BatchFolder(layout)):
        assert known.pending() == [2, 3]
        assert known.pending_after(2, 5) == [3]
        assert known.count == 2


def test_a_replaced_batch_keeps_its_number_and_positions(folder, layout):
    positions = {"executions": {"a/1.jsonl": 7}}
    folder.seal(Checkpoint(number=4, positions=positions), batch(4, records=2), filtered_by="f")

    folder.replace(4, batch(4), filtered_by="tighter")

    assert (folder.read(4), folder.filtered_by(4)) == (batch(4), "tighter")
    assert BatchFolder(layout).open() == Checkpoint(number=4, positions=positions)


def test_a_full_folder_loses_the_oldest_records_but_no_counts(layout):
    folder = BatchFolder(layout, max_bytes=4_500)
    folder.open()

    seal(folder, 1, 2, 3, 4, 5, 6, records=1)

    assert folder.size_bytes <= 4_500
    assert folder.pending() == [1, 2, 3, 4, 5, 6]
    kept = [len(parsed(folder, number).executions) for number in folder.pending()]
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert kept[-1] == 1
    assert dict(folder.dropped) == {NO_ROOM: kept.count(0)}
    assert all(parsed(folder, number).arms[0].executions == 3 for number in folder.pending())


def test_without_any_room_the_oldest_go_and_are_counted(layout):
    folder = BatchFolder(layout, max_bytes=300)
    folder.open()

    seal(folder, *range(1, 21))

    assert folder.size_bytes <= 300
    assert folder.pending()[-1] == 20
    gone = 20 - folder.count
    assert gone > 0
    assert dict(folder.dropped) == {NO_ROOM_AT_ALL: 3 * gone}


def test_what_a_batch_was_to_tell_is_told_by_the_next_also_after_a_kill(folder, layout):
    message = wire.TelemetryBatch(
        number=1,
        arms=[wire.ArmSummary(task="a", executions=3)],
        dropped={"malformed executions": 2},
        decisions=[wire.Decision(), wire.Decision()],
    )
    folder.seal(Checkpoint(number=1, positions={}), message.SerializeToString())
    folder = BatchFolder(layout, max_bytes=1)
    folder.open()
    lost = {NO_ROOM_AT_ALL: 3, NO_ROOM_FOR_DECISIONS: 2, "malformed executions": 2}

    seal(folder, 2)
    killed = BatchFolder(layout)
    killed.open()
    folder.dropped.clear()  # told by the next
    seal(folder, 3)
    again = BatchFolder(layout)
    again.open()

    assert killed.dropped == lost
    assert again.dropped == {NO_ROOM_AT_ALL: 3}


def test_a_damaged_batch_that_makes_room_is_counted(folder, layout):
    seal(folder, 1)
    path = next(layout.batches.glob("*.batch"))
    path.write_bytes(path.read_bytes()[:-5])
    folder = BatchFolder(layout, max_bytes=1)

    seal(folder, 2)

    assert folder.dropped == {DAMAGED: 1}


def test_a_damaged_batch_goes_and_leaves_nothing(folder, layout):
    seal(folder, 1, 2)
    path = min(layout.batches.glob("*.batch"))
    path.write_bytes(path.read_bytes()[:-5])

    with pytest.raises(ValueError, match="batch 1 is damaged"):
        folder.read(1)
    folder.drop_damaged(1)

    assert folder.pending() == BatchFolder(layout).pending() == [2]
    assert [path.name for path in layout.batches.iterdir()] == ["000000000002.batch"]
    assert folder.dropped[DAMAGED] == 1


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open no file meanwhile."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_batch_that_cannot_be_opened_now_is_not_damaged(folder):
    seal(folder, 1)

    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        folder.read(1)

    assert folder.read(1) == batch(1)


def test_no_batch_goes_or_is_counted_while_it_cannot_be_read(folder, layout):
    seal(folder, 1, 2, 3, records=3)
    folder = BatchFolder(layout, max_bytes=100)
    assert folder.count == 3

    with no_descriptors(), suppress(OSError):
        folder._make_room(0)
    during, dropped = folder.pending(), folder.dropped.copy()
    folder._make_room(0)

    assert (during, dropped) == ([1, 2, 3], {})
    assert folder.pending() == [3]
    assert folder.dropped == {NO_ROOM: 9, NO_ROOM_AT_ALL: 6}
