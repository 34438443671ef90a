from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.datasets.naming import LogName, log_files
from edged.datasets.retention import SETTLING_S, Rules, SteadyDay, StoredFile, plan

TODAY = date(2026, 11, 23)
NOON_S = 1_795_435_200.0
DAY_S = 86_400
RULES = Rules(
    keep_days={"executions": 7, "validations": 30, "audit": 30},
    compress_after_days=1,
    max_bytes=10_000,
)


def stored(
    age_days: int,
    *,
    kind: str = "executions",
    task: str = "spam",
    index: int = 0,
    size_bytes: int = 10,
    is_archive: bool = False,
    is_open: bool = False,
    is_acknowledged: bool = True,
) -> StoredFile:
    name = LogName(str(TODAY - timedelta(days=age_days)), index, "", is_archive)
    return StoredFile(
        path=Path("datasets", task, kind, str(name)),
        task=task,
        kind=kind,
        name=name,
        size_bytes=size_bytes,
        is_open=is_open,
        is_acknowledged=is_acknowledged,
    )


def ages(files: list[StoredFile]) -> list[int]:
    return [file.age_days(TODAY) for file in files]


def test_a_file_is_kept_for_its_days_and_goes_after_them():
    due = plan([stored(age) for age in (0, 6, 7, 8, 9)], RULES, TODAY)

    assert ages(due.delete) == [9, 8]


def test_each_kind_has_days_of_its_own():
    files = [stored(20), stored(20, kind="validations"), stored(31, kind="validations")]

    due = plan(files, RULES, TODAY)

    assert {(file.kind, file.age_days(TODAY)) for file in due.delete} == {
        ("executions", 20),
        ("validations", 31),
    }


def test_what_is_not_acknowledged_outlives_its_days():
    due = plan([stored(100, is_acknowledged=False)], RULES, TODAY)

    assert (due.delete, due.forced) == ([], [])


def test_a_file_is_archived_a_day_later_when_everyone_has_read_it():
    files = [
        stored(0),
        stored(1),
        stored(2, is_acknowledged=False),
        stored(3, is_archive=True),
        stored(4, kind="audit"),
    ]

    due = plan(files, RULES, TODAY)

    assert ages(due.archive) == [1]


def test_over_the_limit_the_oldest_goes_first_over_all_tasks_and_kinds():
    files = [
        stored(1, size_bytes=6_000),
        stored(3, size_bytes=3_000, task="other"),
        stored(2, size_bytes=2_000, kind="validations"),
        stored(2, size_bytes=1_000, kind="validations", index=1),
    ]

    due = plan(files, RULES, TODAY)

    assert [file.task for file in due.delete] == ["other"]
    assert ages(plan(files, RULES, TODAY, other_bytes=2_500).delete) == [3, 2]


def test_what_is_not_acknowledged_goes_last_and_is_named():
    files = [
        stored(5, size_bytes=6_000, is_acknowledged=False),
        stored(4, size_bytes=6_000, is_acknowledged=False),
        stored(1, size_bytes=4_000),
    ]

    due = plan(files, RULES, TODAY)

    assert (ages(due.delete), ages(due.forced)) == ([1], [5])


def test_what_is_open_is_never_touched_and_the_excess_is_told():
    due = plan([stored(0, size_bytes=15_000, is_open=True)], RULES, TODAY, other_bytes=1_000)

    assert (due.delete, due.forced, due.archive) == ([], [], [])
    assert due.excess_bytes == 6_000


def test_a_file_from_the_future_is_kept_until_the_limit():
    assert plan([stored(-400)], RULES, TODAY).delete == []


FILES = st.lists(
    st.builds(
        stored,
        st.integers(-3, 40),
        kind=st.sampled_from(["executions", "validations", "audit"]),
        task=st.sampled_from(["a", "b"]),
        index=st.integers(0, 12),
        size_bytes=st.integers(0, 6_000),
        is_archive=st.booleans(),
        is_open=st.booleans(),
        is_acknowledged=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda file: file.path,
)


@given(FILES, st.integers(0, 20_000))
def test_whatever_there_is_the_promises_hold(files, other_bytes):
    due = plan(files, RULES, TODAY, other_bytes)

    going = due.delete + due.forced
    left = sum(f.size_bytes for f in files if f not in going) + other_bytes
    assert len({file.path for file in going}) == len(going)
    assert not any(file.is_open for file in [*going, *due.archive])
    assert not any(not file.is_acknowledged for file in [*due.delete, *due.archive])
    assert not set(map(id, due.archive)) & set(map(id, going))
    assert due.excess_bytes == max(0, left - RULES.max_bytes)
    if due.excess_bytes:
        assert all(file.is_open for file in files if file not in going)
    assert plan_is_minimal(due.forced, left)


def plan_is_minimal(forced: list[StoredFile], left: int) -> bool:
    """With the last forced file back, it would not fit."""
    return not forced or left + forced[-1].size_bytes > RULES.max_bytes


@given(FILES)
def test_a_second_plan_has_nothing_left_to_delete(files):
    due = plan(files, RULES, TODAY)

    rest = [file for file in files if file not in due.delete and file not in due.forced]

    again = plan(rest, RULES, TODAY)
    assert (again.delete, again.forced) == ([], [])


@given(FILES)
def test_what_home_has_not_acknowledged_is_never_expired(files):
    unread = [replace(file, is_acknowledged=False) for file in files]
    unlimited = replace(RULES, max_bytes=10**12)

    due = plan(unread, unlimited, TODAY)

    assert (due.delete, due.forced, due.archive) == ([], [], [])


@pytest.mark.parametrize("jump_s", [400 * DAY_S, -400 * DAY_S])
def test_a_clock_that_jumps_is_believed_only_when_it_holds(jump_s):
    day = SteadyDay(NOON_S, 0.0)

    at_once = day.today(NOON_S + jump_s, 1.0)
    later = day.today(NOON_S + jump_s + SETTLING_S, 1.0 + SETTLING_S)

    assert at_once == TODAY
    assert later == TODAY + timedelta(days=jump_s // DAY_S)


def test_a_clock_that_is_mended_was_never_believed():
    day = SteadyDay(NOON_S, 0.0)

    day.today(NOON_S + 400 * DAY_S, 60.0)
    mended = day.today(NOON_S + 120.0, 120.0)
    much_later = day.today(NOON_S + DAY_S, float(DAY_S))

    assert (mended, much_later) == (TODAY, TODAY + timedelta(days=1))


def test_days_pass_without_a_jump():
    day = SteadyDay(NOON_S, 0.0)

    days = [day.today(NOON_S + hour * 3600, hour * 3600) for hour in range(0, 73, 24)]

    assert days == [TODAY + timedelta(days=number) for number in range(4)]


def test_names_sort_by_day_and_by_the_order_in_which_files_were_begun(tmp_path):
    names = [
        "sampled-2026-01-01.jsonl.gz",
        "sampled-2026-01-01.2.jsonl.gz",
        "sampled-2026-01-01.10.jsonl",
        "sampled-2026-01-02.jsonl",
    ]
    for name in (*reversed(names), ".probe", "notes.txt", "sampled-2026-01-01.jsonl.torn"):
        (tmp_path / name).touch()

    assert [path.name for _, path in log_files(tmp_path)] == names
    assert [str(name) for name, _ in log_files(tmp_path)] == names
