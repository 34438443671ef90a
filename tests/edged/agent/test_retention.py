import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edged.agent.batch_file import Checkpoint
from edged.agent.batches import BatchFolder
from edged.agent.retention import Retention, rules_of
from edged.agent.store import FRESH_S, ArtifactStore
from edged.datasets.archives import read_lines
from edged.datasets.forced import ForcedNotes
from edged.datasets.retention import SETTLING_S
from edged.datasets.writer import LogWriter
from edged.deployment.keeping import Retention as RetentionSettings
from edged.deployment.keeping import Storage
from tests.fakes.clock import FakeClock

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
DAY_S = 86_400


class Reader:
    """Follows the executions, and was told how far it is."""

    def __init__(self, **positions: int) -> None:
        self.positions = positions
        self.forgotten: list[str] = []

    def acknowledged(self, kind: str, _task: str, key: str) -> int | None:
        return self.positions.get(key, 0) if kind == "executions" else None

    taken = acknowledged

    def forget(self, _kind: str, key: str) -> None:
        self.forgotten.append(key)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def write(layout, clock):
    """Return a function that writes a log of some days ago; it returns the file."""

    def write(days_ago: int, *lines: str, kind: Any = "executions") -> Path:
        writer = LogWriter(layout, kind, FakeClock(clock() - days_ago * DAY_S))
        path = writer.append("spam", [line.encode() + b"\n" for line in lines or ("{}",)])
        writer.close()
        return path

    return write


@pytest.fixture
def sweep(layout, clock):
    """Return a function that sweeps once; it returns kind and lines of what was forced out."""

    async def sweep(*followers: Reader, **storage: Any) -> list[tuple[str, int]]:
        rules = rules_of(Storage(**storage), RetentionSettings())
        await Retention(layout, rules, followers, clock, clock).sweep()
        return list(ForcedNotes(layout).lines().items())

    return sweep


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


async def test_a_day_is_archived_and_after_its_days_deleted(layout, write, clock):
    path = write(1, "first", "second")
    retention = Retention(layout, rules_of(Storage(), RetentionSettings()), (), clock, clock)

    await retention.sweep()
    archived = path.with_name("2026-11-22.jsonl.gz")
    lines = list(read_lines(archived, None))
    clock.advance(7 * DAY_S)
    await retention.sweep()

    assert lines == [b"first", b"second"]
    assert names(path) == []


async def test_validations_and_the_rest_have_days_of_their_own(write, sweep):
    kept = [write(29, kind="validations"), write(29, kind="outcomes")]
    gone = [write(31, kind="validations"), write(31, kind="outcomes"), write(8)]

    await sweep()

    assert [path.with_name(path.name + ".gz").exists() for path in kept] == [True, True]
    assert [path.exists() for path in gone] == [False, False, False]


async def test_what_a_follower_has_not_read_stays_as_it_is(write, sweep):
    path = write(20, "first", "second")
    reader = Reader(**{f"spam/{path.name}": 6})

    await sweep(reader)
    before = names(path)
    reader.positions[f"spam/{path.name}"] = path.stat().st_size
    await sweep(reader)

    assert before == [path.name]
    assert names(path) == []
    assert reader.forgotten == [f"spam/{path.name}"]


async def test_a_torn_tail_keeps_no_file_from_being_read_to_its_end(write, sweep):
    path = write(1, "first")
    with path.open("a") as file:
        file.write("torn")

    await sweep(Reader(**{f"spam/{path.name}": 6}))

    assert names(path) == ["2026-11-22.jsonl.gz", "2026-11-22.jsonl.torn"]


async def test_the_size_limit_forces_out_what_is_unread_and_it_is_counted(write, sweep, layout):
    oldest = write(3, *["x" * 99] * 1000)
    newest = write(1, *["x" * 99] * 1000)
    reader = Reader(**{f"spam/{oldest.name}": 100 * 400})

    dropped = await sweep(reader, max_size_gb=0.00015)

    assert dropped == [("executions", 600)]
    assert (oldest.exists(), newest.exists()) == (False, True)
    counted = json.loads((layout.state / "retention.json").read_text())["spam"]["executions"]
    assert counted == {"files": 1, "lines": 600, "bytes": 100_000, "last_day": "2026-11-20"}


async def test_a_file_that_a_writer_holds_is_left_alone(layout, sweep, clock):
    writer = LogWriter(layout, "executions", FakeClock(clock() - 9 * DAY_S))
    path = writer.append("spam", [b"1\n"])

    await sweep(max_size_gb=1e-9)
    held = path.exists()
    writer.close()
    await sweep()

    assert (held, path.exists()) == (True, False)


async def test_the_size_limit_takes_what_a_clock_that_was_ahead_left(write, sweep):
    today, ahead = write(0, "x" * 900), write(-400, "x" * 900)

    await sweep(max_size_gb=1e-6)

    assert (today.exists(), ahead.exists()) == (True, False)


async def test_statistics_and_the_audit_log_go_by_retention_days(layout, sweep):
    folders = [layout.analytics("spam"), layout.audit]
    for folder in folders:
        folder.mkdir(parents=True)
    old = [folders[0] / "daily-stats-2026-10-01.json", folders[1] / "2026-10-01.jsonl"]
    new = [folders[0] / "daily-stats-2026-11-20.json", folders[1] / "2026-11-20.jsonl"]
    for path in (*old, *new):
        path.write_text("{}")

    await sweep()

    assert [path.exists() for path in (*old, *new)] == [False, False, True, True]


async def test_a_clock_set_ahead_takes_nothing_with_it(layout, write, clock):
    path = write(1)
    monotonic = FakeClock(0.0)
    rules = rules_of(Storage(), RetentionSettings())
    retention = Retention(layout, rules, (), clock, monotonic)

    clock.advance(400 * DAY_S)
    await retention.sweep()

    assert path.with_name(path.name + ".gz").exists()


def left_by_a_kill(folder: Path, name: str, code: str) -> None:
    """Let a process die in the middle of writing a file."""
    script = f"import os, pathlib\nfrom edged import files\npath = pathlib.Path({name!r})\n{code}"
    died = subprocess.run([sys.executable, "-c", script], cwd=folder, check=False)
    assert died.returncode == 9


async def test_what_a_kill_left_half_written_goes_after_an_hour(layout, write, sweep):
    path = write(0)
    die_writing = "with files.whole_file(path) as file:\n    os._exit(9)"
    die_linking = "pathlib.Path.replace = lambda *_: os._exit(9)\nfiles.point_link(path, 'v1')"
    version = layout.version("spam", 1)
    version.mkdir(parents=True)
    folders = {path.parent: die_writing, layout.state: die_writing, version.parent: die_linking}
    for folder, code in folders.items():
        left_by_a_kill(folder, "2026-11-22.jsonl.gz", code)
    left = [each for folder in folders for each in folder.glob(".*")]
    for each in left:
        os.utime(each, (NOON - 3601, NOON - 3601), follow_symlinks=False)
    left_by_a_kill(path.parent, "2026-11-21.jsonl.gz", die_writing)
    [fresh] = set(path.parent.glob(".*")) - set(left)
    os.utime(fresh, (NOON - 3599, NOON - 3599))

    await sweep()

    assert len(left) == 3
    assert not any(each.exists() or each.is_symlink() for each in left)
    assert (fresh.exists(), path.exists(), version.exists()) == (True, True, True)


async def test_a_chore_that_fails_does_not_stop_the_sweep(layout, write, clock):
    path, done = write(1), []

    def fail() -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    chores = [fail, lambda: done.append("next")]
    rules = rules_of(Storage(), RetentionSettings())
    await Retention(layout, rules, (), clock, clock, chores=chores).sweep()

    assert done == ["next"]
    assert names(path) == [path.name + ".gz"]


async def test_a_start_while_the_clock_is_ahead_takes_nothing_with_it(layout, write, clock):
    path = write(1)
    rules = rules_of(Storage(), RetentionSettings())
    await Retention(layout, rules, (), clock, clock).sweep()

    clock.advance(400 * DAY_S)
    started_anew = Retention(layout, rules, (), clock, clock)
    await started_anew.sweep()
    at_once = names(path)
    clock.advance(SETTLING_S)
    await started_anew.sweep()

    assert at_once == [path.name + ".gz"]
    assert names(path) == []  # it held for an hour


async def test_a_start_after_a_short_while_goes_on_at_once(layout, write, clock):
    path = write(7)
    clock.now_s = NOON + DAY_S / 2 - 1
    rules = rules_of(Storage(), RetentionSettings())
    await Retention(layout, rules, (), clock, FakeClock(5.0)).sweep()

    clock.advance(1800)
    await Retention(layout, rules, (), clock, FakeClock(1.0)).sweep()

    assert names(path) == []


async def test_a_damaged_note_of_the_time_is_made_again(layout, write, clock):
    path = write(8)
    (layout.state / "clock.json").write_text('{"believed_s"')
    rules = rules_of(Storage(), RetentionSettings())

    await Retention(layout, rules, (), clock, clock).sweep()

    assert names(path) == []
    assert json.loads((layout.state / "clock.json").read_text()) == {"believed_s": NOON}


async def test_a_file_that_cannot_be_archived_does_not_stop_the_others(write, sweep):
    first, second = write(2), write(1)
    first.write_text('{"sealed":"no key here"}\n')

    await sweep()

    assert names(first) == [first.name, second.name + ".gz"]


async def test_a_sealed_batch_counts_as_acknowledged_when_home_says_so(layout):
    folder = BatchFolder(layout)
    folder.open()
    ends = ({"executions": {"spam/a": 10}}, {"executions": {"spam/a": 20}})
    for number, positions in enumerate(ends, start=1):
        folder.seal(Checkpoint(number=number, positions=positions), b"")

    before = folder.acknowledged().positions
    folder.acknowledge(1)
    half = folder.acknowledged().positions
    folder.acknowledge(2)

    assert (before, half, folder.acknowledged().positions) == ({}, *ends)


def test_old_versions_go_but_none_that_is_in_use_or_just_came(layout):
    store = ArtifactStore(layout, FakeClock(2 * FRESH_S))
    for version in range(1, 8):
        folder = layout.version("spam", version)
        folder.mkdir(parents=True)
        (folder / "program.py").write_text("")
        came_s = 2 * FRESH_S - 1 if version == 3 else 0
        os.utime(folder, (came_s, came_s))

    store.prune(2, {("spam", 1), ("other", 2)})

    left = sorted(path.name for path in (layout.artifacts / "spam").iterdir())
    assert left == ["v1", "v3", "v6", "v7"]


def test_what_a_kill_left_of_a_version_goes_and_stops_nobody(layout):
    store = ArtifactStore(layout, FakeClock(2 * FRESH_S))
    for name, came_s in ((".v3.going", FRESH_S + 1), (".v2.x1y2", 0), (".v4.x1y2", FRESH_S + 1)):
        folder = layout.artifacts / "spam" / name
        folder.mkdir(parents=True)
        (folder / "program.py").write_text("")
        os.utime(folder, (came_s, came_s))
    for version in (3, 4):
        layout.version("spam", version).mkdir()
        os.utime(layout.version("spam", version), (0, 0))

    store.prune(1, set())

    left = sorted(path.name for path in (layout.artifacts / "spam").iterdir())
    assert left == [".v4.x1y2", "v4"]


def test_the_settings_become_rules():
    rules = rules_of(Storage(retention_days=12, max_size_gb=2), RetentionSettings())

    assert rules.keep_days["executions"] == 7
    assert rules.keep_days["validations"] == 30
    assert rules.keep_days["outcomes"] == rules.keep_days["audit"] == 12
    assert rules.max_bytes == 2_000_000_000
