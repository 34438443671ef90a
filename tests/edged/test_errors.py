"""What an error says, and how long it may be."""

import pytest

from edged.errors import TaskUnknown
from edged.rpc.metadata import header_list_bytes, write_status
from edged.rpc.status import details_of, status_of


@pytest.mark.parametrize("character", ["a", "%", "é", "€", "😀", "\n"])
def test_a_text_that_quotes_a_caller_fits_into_headers(character):
    error = TaskUnknown(task=character * 100_000, known="shout")

    details = (("grpc-status-details-bin", details_of(error)),)
    headers = write_status(status_of(error), str(error), details)

    assert header_list_bytes(headers) < 5_000
    assert str(error).startswith(f"there is no task '{character * 200}")
    assert str(error).endswith(f"{character}…")


@pytest.mark.parametrize("task", ["", "grüße", "😀" * 200])
def test_a_short_text_is_said_whole(task):
    error = TaskUnknown(task=task, known="shout")

    assert str(error) == f"there is no task '{task}' here; this edge serves: shout"


def test_what_no_header_can_hold_is_replaced():
    assert "'?'" in str(TaskUnknown(task="\ud800", known="shout"))
