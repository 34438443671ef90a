"""What was answered without a line is told to the agent as soon as the disk permits."""

import pytest

from edged.datasets.layout import Layout
from edged.datasets.unlogged import UnloggedNotes
from edged.gateway.counters import Counters
from edged.gateway.unlogged import UnloggedTeller


@pytest.fixture
def layout(tmp_path) -> Layout:
    (tmp_path / "state").mkdir()
    return Layout(tmp_path)


def told(layout: Layout) -> list[int]:
    return sorted(UnloggedNotes(layout).read(()).values())


def test_only_what_is_new_is_told(layout):
    counters = Counters()
    teller = UnloggedTeller(counters, UnloggedNotes(layout))

    teller.tell()
    counters.unlogged = 5
    teller.tell()
    teller.tell()
    counters.unlogged = 7
    teller.tell()

    assert told(layout) == [2, 5]


def test_what_cannot_be_written_is_told_later(layout):
    counters = Counters()
    teller = UnloggedTeller(counters, UnloggedNotes(layout))
    (layout.state / "unlogged").write_bytes(b"")  # a file in the folder's place

    counters.unlogged = 5
    teller.tell()
    (layout.state / "unlogged").unlink()
    counters.unlogged = 6
    teller.tell()

    assert told(layout) == [6]
