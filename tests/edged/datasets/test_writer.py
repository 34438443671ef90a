import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edged.datasets import dayfile
from edged.datasets import writer as module
from edged.datasets.dayfile import DayFile
from edged.datasets.layout import Layout
from edged.datasets.writer import LogWriter
from edged.errors import LogUnwritable
from tests.fakes.clock import FakeClock

NOON = 1_763_899_200.0  # 2025-11-23T12:00:00Z
DAY_S = 86_400
DATE = "2025-11-23"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def writer(layout: Layout, clock: FakeClock):
    writer = LogWriter(layout, "executions", clock)
    yield writer
    writer.close()


def files(layout: Layout, task: str = "spam") -> dict[str, str]:
    folder = layout.log(task, "executions")
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_lines_of_one_day_share_a_file(writer, layout):
    writer.append("spam", [b"1\n", b"2\n"])
    writer.append("spam", [b"3\n"])

    assert files(layout) == {"2025-11-23.jsonl": "1\n2\n3\n"}


def test_the_utc_day_chooses_the_file(writer, layout, clock):
    writer.append("spam", [b"1\n"])

    clock.advance(DAY_S / 2)
    writer.append("spam", [b"2\n"])

    assert files(layout) == {"2025-11-23.jsonl": "1\n", "2025-11-24.jsonl": "2\n"}


def test_a_clock_that_goes_back_does_not_reopen_yesterday(writer, layout, clock):
    writer.append("spam", [b"1\n"])

    clock.advance(-DAY_S)
    writer.append("spam", [b"2\n"])

    assert files(layout) == {"2025-11-23.jsonl": "1\n2\n"}


def test_a_clock_that_was_ahead_for_a_moment_keeps_no_file_of_that_day(writer, layout, clock):
    for ahead_s, line in ((0, b"1\n"), (400 * DAY_S, b"2\n"), (0, b"3\n"), (0, b"4\n")):
        clock.now_s = NOON + ahead_s
        writer.append("spam", [line])
    before = open_files()
    clock.advance(DAY_S)
    writer.append("spam", [b"5\n"])

    assert files(layout) == {
        "2025-11-23.jsonl": "1\n3\n4\n",
        "2025-11-24.jsonl": "5\n",
        "2026-12-28.jsonl": "2\n",
    }
    assert open_files() == before


def test_a_second_writer_takes_a_file_of_its_own(writer, layout, clock):
    writer.append("spam", [b"1\n"])
    second = LogWriter(layout, "executions", clock)

    second.append("spam", [b"2\n"])
    second.close()

    assert files(layout) == {"2025-11-23.1.jsonl": "2\n", "2025-11-23.jsonl": "1\n"}


def test_a_torn_tail_is_set_aside_and_never_merged(writer, layout):
    folder = layout.log("spam", "executions")
    folder.mkdir(parents=True)
    long_torn_tail = '{"torn": "' + "x" * 200_000
    (folder / "2025-11-23.jsonl").write_text("whole\n" + long_torn_tail)

    writer.append("spam", [b"next\n"])

    assert files(layout) == {
        "2025-11-23.jsonl": "whole\nnext\n",
        "2025-11-23.jsonl.torn": long_torn_tail + "\n",
    }


def test_a_file_that_is_torn_from_its_first_byte_starts_anew(writer, layout):
    folder = layout.log("spam", "executions")
    folder.mkdir(parents=True)
    (folder / "2025-11-23.jsonl").write_text("torn")

    writer.append("spam", [b"next\n"])

    assert files(layout)["2025-11-23.jsonl"] == "next\n"


def test_a_full_disk_refuses_the_append_and_leaves_no_part_of_it(layout):
    """RLIMIT_FSIZE makes the kernel write a part and then refuse, as a full disk does."""
    code = f"""
import json, resource, signal, sys
from pathlib import Path
from edged.datasets.layout import Layout
from edged.datasets.writer import LogWriter
from edged.errors import LogUnwritable
import edged.datasets.writer as module
module.RETRY_S = 0.0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
writer = LogWriter(Layout(Path({str(layout.data_dir)!r})), "executions", lambda: {NOON})
writer.append("spam", [b"a" * 899 + b"\\n"])
try:
    writer.append("spam", [b"b" * 899 + b"\\n"])
except LogUnwritable as error:
    print(json.dumps({{"code": error.code, "text": str(error)}}))
writer.append("spam", [b"c" * 9 + b"\\n"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    refusal = json.loads(done.stdout)
    assert refusal["code"] == "log_unwritable"
    assert "File too large" in refusal["text"]
    assert files(layout) == {"2025-11-23.jsonl": "a" * 899 + "\n" + "c" * 9 + "\n"}


def test_an_unusable_folder_is_a_clear_error(layout, clock):
    layout.datasets.parent.mkdir(exist_ok=True)
    layout.datasets.write_text("a file where the folder should be")
    writer = LogWriter(layout, "executions", clock)

    with pytest.raises(LogUnwritable, match="Not a directory") as caught:
        writer.append("spam", [b"1\n"])

    assert caught.value.retryable


def test_open_files_do_not_grow_with_days(writer, clock):
    writer.append("spam", [b"1\n"])
    before = open_files()

    for _ in range(10):
        clock.advance(DAY_S)
        writer.append("spam", [b"1\n"])

    assert open_files() == before


def test_a_prefix_stands_before_the_date(layout, clock):
    writer = LogWriter(layout, "validations", clock, prefix="sampled-")
    second = LogWriter(layout, "validations", clock, prefix="sampled-")

    paths = [each.append("spam", [b"{}\n"]) for each in (writer, second)]
    writer.close()
    second.close()

    names = [path.name for path in paths]
    assert names == ["sampled-2025-11-23.jsonl", "sampled-2025-11-23.1.jsonl"]


def test_a_file_that_grew_too_large_is_followed_by_the_next_one(layout, clock):
    writer = LogWriter(layout, "executions", clock, roll_bytes=4)

    for number in range(5):
        writer.append("spam", [b"%d\n" % number])
    writer.close()

    assert files(layout) == {
        "2025-11-23.1.jsonl": "2\n3\n",
        "2025-11-23.2.jsonl": "4\n",
        "2025-11-23.jsonl": "0\n1\n",
    }


def test_a_day_that_passed_is_let_go_without_another_append(writer, layout, clock):
    path = writer.append("spam", [b"1\n"])
    held = DayFile.hold(path)

    clock.advance(DAY_S)
    writer.check()
    free = DayFile.hold(path)

    assert held is None
    assert free is not None
    free.close()


def test_after_a_refusal_the_file_is_opened_anew_by_its_path(writer, layout, clock, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    path = writer.append("spam", [b"1\n"])
    with monkeypatch.context() as patch:
        patch.setattr(DayFile, "append", refuse)
        with pytest.raises(LogUnwritable, match="Read-only"):
            writer.append("spam", [b"2\n"])
    path.rename(path.with_name("elsewhere"))

    again = writer.append("spam", [b"3\n"])

    assert again.read_bytes() == b"3\n"


def test_while_a_disk_refuses_it_is_asked_now_and_then_only(writer, monkeypatch):
    asked = []
    monkeypatch.setattr(DayFile, "append", lambda _file, _content: refuse(asked))

    for _ in range(50):
        with pytest.raises(LogUnwritable):
            writer.append("spam", [b"1\n"])

    assert len(asked) == 1


def test_what_a_refused_write_left_is_cut_off_before_the_next_line(tmp_path, monkeypatch):
    file = DayFile.open(tmp_path, "2025-11-23")
    file.append(b"whole\n")
    with monkeypatch.context() as patch:
        patch.setattr(dayfile.os, "write", write_a_part)
        patch.setattr(dayfile.os, "ftruncate", refuse)
        with pytest.raises(OSError, match="Read-only"):
            file.append(b"torn and lost\n")
    assert file.path.read_bytes() == b"whole\ntor"

    file.append(b"next\n")
    file.close()

    assert file.path.read_bytes() == b"whole\nnext\n"


def refuse(asked: object, *_more: object) -> None:
    if isinstance(asked, list):
        asked.append(1)
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize("take", [DayFile.hold, lambda path: DayFile.open(path.parent, DATE)])
def test_a_file_whose_torn_tail_cannot_be_set_aside_is_let_go(tmp_path, take):
    path = tmp_path / f"{DATE}.jsonl"
    path.write_bytes(b"whole\ntorn")
    in_the_way = tmp_path / f"{DATE}.jsonl.torn"
    in_the_way.mkdir()
    before = open_files()

    with pytest.raises(IsADirectoryError):
        take(path)
    after = open_files()
    in_the_way.rmdir()
    held = take(path)

    assert after == before
    assert held.path == path  # nobody holds the lock
    held.close()


def test_what_is_no_file_of_a_log_is_not_held(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"1\n")
    before = open_files()

    held = DayFile.hold(path)

    assert held is None
    assert open_files() == before


def write_a_part(descriptor: int, content: bytes, real=os.write) -> int:
    if content.startswith(b"torn"):
        return real(descriptor, content[:3])
    raise OSError(30, "Read-only file system")
