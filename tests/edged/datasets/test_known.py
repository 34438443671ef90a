import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.datasets.known import known_lines

LINES = st.lists(st.binary())


@given(LINES, LINES)
def test_what_was_read_is_known_and_nothing_else(tmp_path_factory, lines, others):
    path = tmp_path_factory.mktemp("scratch") / "known"

    with known_lines(path, lines) as is_known:
        told = [is_known(line) for line in [*lines, *others]]

    assert told == [line in lines for line in [*lines, *others]]


def test_a_file_that_cannot_be_written_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(OSError, match="unable to open"), known_lines(tmp_path, []):
        pass
