"""Retention in a running edge: the files of a real data_dir, before its eyes."""

import time
from pathlib import Path

import pytest

from edged.datasets.archives import read_lines
from edged.datasets.layout import Layout
from scripts.support.stack import EdgeProcess, until
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog

DAY_S = 86_400

pytestmark = pytest.mark.processes


def log_of(layout: Layout, days_ago: int) -> Path:
    before = set(layout.log("spam", "executions").glob("*"))
    log = ExecutionLog(layout, FakeClock(time.time() - days_ago * DAY_S))
    log.append(3)
    log.close()
    [path] = set(layout.log("spam", "executions").glob("*")) - before
    return path


def test_an_edge_archives_and_deletes_what_lies_there_when_it_starts(tmp_path):
    edge = EdgeProcess(tmp_path, {})
    layout = Layout(edge.data_dir)
    expired, yesterday, today = (log_of(layout, days_ago) for days_ago in (10, 2, 0))

    with edge:
        archived = yesterday.with_name(yesterday.name + ".gz")
        until(archived.exists, "a day is archived")
        until(lambda: not expired.exists(), "an old day is deleted")

    assert len(list(read_lines(archived, None))) == 3
    assert today.exists()
    counted = sorted(path.name for path in layout.analytics("spam").iterdir())
    assert len(counted) == 3
