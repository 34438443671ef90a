"""What was answered without a line is told to the agent as soon as the disk permits."""

from edged.datasets.layout import Layout
from edged.datasets.unlogged import UnloggedNotes
from edged.gateway.counters import Counters
from edged.gateway.unlogged import UnloggedTeller


def told(layout: Layout) -> dict[str, int]:
    return UnloggedNotes(layout).read()


def test_what_is_new_replaces_what_this_run_told_before(layout):
    counters = Counters()
    teller = UnloggedTeller(counters, UnloggedNotes(layout), "1-1")

    teller.tell()
    before = told(layout)
    for counters.unlogged in (5, 5, 7):
        teller.tell()

    assert (before, told(layout)) == ({}, {"1-1": 7})


def test_every_run_tells_for_itself(layout):
    for run, count in (("1-1", 3), ("2-2", 4)):
        counters = Counters()
        counters.unlogged = count
        UnloggedTeller(counters, UnloggedNotes(layout), run).tell()

    assert told(layout) == {"1-1": 3, "2-2": 4}


def test_what_cannot_be_written_is_told_later(layout):
    counters = Counters()
    teller = UnloggedTeller(counters, UnloggedNotes(layout), "1-1")
    (layout.state / "unlogged").write_bytes(b"")  # a file in the folder's place

    counters.unlogged = 5
    teller.tell()
    (layout.state / "unlogged").unlink()
    counters.unlogged = 6
    teller.tell()

    assert told(layout) == {"1-1": 6}
