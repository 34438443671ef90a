from datetime import date, timedelta

import pytest

from edged.datasets.inventory import inventory
from edged.datasets.layout import Layout

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("days_ahead", "is_open"), [(-1, False), (0, True), (1, True), (2, False), (400, False)]
)
def test_a_writer_may_have_todays_file_or_one_a_day_ahead(tmp_path, days_ahead, is_open):
    layout = Layout(tmp_path)
    folder = layout.log("spam", "executions")
    folder.mkdir(parents=True)
    (folder / f"{TODAY + timedelta(days=days_ahead)}.jsonl").write_bytes(b"{}\n")

    [file] = inventory(layout, TODAY, lambda _: True)

    assert file.is_open is is_open
