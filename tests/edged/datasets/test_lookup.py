from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.datasets.layout import Layout
from edged.datasets.lookup import find_lines
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def executions(layout, clock):
    log = ExecutionLog(layout, clock)
    yield log
    log.close()


def found(layout: Layout, ids: list[str]) -> list[str]:
    lines = find_lines(layout, "spam", ids)
    assert all(orjson.loads(line)["execution_id"] == name for name, line in lines.items())
    return sorted(lines)


def append_for_hours(executions: ExecutionLog, clock: FakeClock, number: int) -> list[str]:
    ids = []
    for _ in range(number):
        clock.advance(10)
        ids += executions.append()
    return ids


def test_every_execution_of_a_large_file_is_found_by_its_id(layout, executions, clock):
    ids = append_for_hours(executions, clock, 3000)

    singles = [name for name in ids[::97] if found(layout, [name]) == [name]]

    assert singles == ids[::97]
    assert found(layout, ids) == sorted(ids)


def test_a_call_that_ended_after_midnight_is_found_on_the_next_day(layout, executions, clock):
    [early] = executions.append()
    clock.advance(12 * 3600 - 1)
    late = executions.next_id()  # received a second before midnight, appended after it
    clock.advance(2)
    executions.append()
    executions.append(ids=[late])

    assert found(layout, [early, late]) == sorted([early, late])


def test_a_slow_call_is_found_behind_the_quick_ones(layout, executions, clock):
    slow = executions.next_id()
    others = append_for_hours(executions, clock, 50)
    executions.append(ids=[slow])

    assert found(layout, [slow, *others]) == sorted([slow, *others])


def test_a_second_writers_file_is_searched_too(layout, executions, clock):
    second = ExecutionLog(layout, clock, seed=8)
    executions.append()
    [execution_id] = second.append()
    second.close()

    assert found(layout, [execution_id]) == [execution_id]


def test_what_is_not_there_is_not_found(layout, executions):
    executions.append()

    assert found(layout, ["nonsense", "", "01a00000-0000-7000-8000-000000000000"]) == []
    assert find_lines(layout, "other", executions.append()) == {}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0, 0.001, 1, 2.5, 400]), min_size=1, max_size=400), st.data())
def test_any_rhythm_of_calls_is_found(tmp_path_factory, gaps_s, data):
    clock = FakeClock(NOON)
    layout = Layout(tmp_path_factory.mktemp("log"))
    executions = ExecutionLog(layout, clock)
    ids = []
    for gap_s in gaps_s:
        clock.advance(gap_s)
        ids += executions.append(input_json=b'"' + b"x" * 600 + b'"')
    wanted = data.draw(st.lists(st.sampled_from(ids), unique=True))

    lines = find_lines(layout, "spam", wanted)
    executions.close()

    assert sorted(lines) == sorted(wanted)
