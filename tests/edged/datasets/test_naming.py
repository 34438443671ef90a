from datetime import date

import pytest

from edged.datasets.inventory import inventory
from edged.datasets.layout import Layout
from edged.datasets.naming import LogName, log_files


@pytest.mark.parametrize(
    "name",
    ["2026-11-23.jsonl", "sampled-2026-11-23.2.jsonl.gz", "2026-11-23.1000.jsonl.gz"],
)
def test_a_name_is_what_it_says(name):
    assert str(LogName.parse(name)) == name


@pytest.mark.parametrize(
    "name",
    ["2026-99-99.jsonl", "2026-02-30.jsonl.gz", "2026-02-30.jsonl.torn", "notes.jsonl", ".probe-1"],
)
def test_what_names_no_day_is_no_file_of_a_log(tmp_path, name):
    layout = Layout(tmp_path)
    folder = layout.log("spam", "executions")
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"")

    listed = list(inventory(layout, date(2026, 11, 23), lambda _file: True))

    assert (listed, log_files(folder)) == ([], [])
