from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.datasets import archives
from edged.datasets.archives import rewrite, stored_files
from edged.datasets.layout import Layout
from edged.datasets.lookup import find_lines
from edged.datasets.sealing import Keyring
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


def erase(layout: Layout, gone: set[str]) -> None:
    [(_, path)] = stored_files(layout, "spam", "executions")

    def left(line: bytes) -> bytes | None:
        return None if orjson.loads(line)["execution_id"] in gone else line

    rewrite(path, left, layout.keyring)


@pytest.mark.parametrize("keyring", [None, Keyring([b"k" * 32])], ids=["clear", "encrypted"])
def test_what_stays_of_an_erased_file_is_found(tmp_path, clock, keyring):
    layout = Layout(tmp_path, keyring)
    executions = ExecutionLog(layout, clock)
    ids = append_for_hours(executions, clock, 3000)
    executions.close()
    gone = {name for number, name in enumerate(ids) if 1000 < number < 2600 or number % 3}
    left = [name for name in ids if name not in gone]

    erase(layout, gone)

    assert [name for name in left[::20] if found(layout, [name]) == [name]] == left[::20]


@pytest.mark.parametrize("first_erased", [100, 1500])
def test_what_stays_of_an_erased_archive_is_found(
    layout, executions, clock, monkeypatch, first_erased
):
    monkeypatch.setattr(archives, "MEMBER_BYTES", 2_000)
    ids = append_for_hours(executions, clock, 3000)
    executions.close()
    gone = {name for n, name in enumerate(ids) if first_erased < n < 2600 or n % 10 < 8}
    left = [name for name in ids if name not in gone]

    erase(layout, gone)
    archives.archive(stored_files(layout, "spam", "executions")[0][1], None)

    assert [name for name in left[::20] if found(layout, [name]) == [name]] == left[::20]


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


def test_what_cannot_be_opened_hides_no_other_execution(tmp_path, clock):
    layout = Layout(tmp_path, Keyring([b"k" * 32]))
    executions = ExecutionLog(layout, clock)
    ids = [executions.append()[0] for _ in range(3)]
    executions.close()
    [(_, path)] = stored_files(layout, "spam", "executions")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:-20] + b"A" * 19 + b"\n"
    path.write_bytes(b"".join(lines))

    assert found(layout, ids) == [ids[0], ids[2]]
    assert found(Layout(tmp_path), ids) == []


def test_a_damaged_header_hides_no_execution_before_it(layout, executions, clock, monkeypatch):
    monkeypatch.setattr(archives, "MEMBER_BYTES", 2_000)
    ids = append_for_hours(executions, clock, 300)
    executions.close()
    archived = archives.archive(stored_files(layout, "spam", "executions")[0][1], None)
    content = archived.read_bytes()
    archived.write_bytes(content[:-2_000] + bytes(2_000))

    assert found(layout, [ids[0], ids[-1]]) == [ids[0]]
