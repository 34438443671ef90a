from pathlib import Path

import pytest

from edged.datasets import follower as module
from edged.datasets.follower import Follower
from edged.datasets.layout import Layout
from edged.datasets.sealing import Keyring
from edged.datasets.writer import LogWriter
from tests.fakes.clock import FakeClock


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def write(layout: Layout, name: str, text: str, task: str = "spam") -> None:
    folder = layout.log(task, "executions")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("a") as file:
        file.write(text)


def drain(follower: Follower) -> list[tuple[str, list[bytes]]]:
    taken = []
    for chunk in follower.read():
        taken.append((chunk.task, chunk.lines))
        follower.commit(chunk)
    return taken


def test_a_line_is_read_once_it_is_whole(layout):
    follower = Follower(layout, "executions", {})
    write(layout, "2026-01-01.jsonl", "one\ntw")

    first = drain(follower)
    write(layout, "2026-01-01.jsonl", "o\n")
    second = drain(follower)

    assert first == [("spam", [b"one"])]
    assert second == [("spam", [b"two"])]


def test_what_is_not_committed_comes_again(layout):
    follower = Follower(layout, "executions", {})
    write(layout, "2026-01-01.jsonl", "one\n")

    lost = [chunk.lines for chunk in follower.read()]
    again = drain(follower)

    assert lost == [[b"one"]]
    assert again == [("spam", [b"one"])]


def test_a_follower_goes_on_from_its_positions(layout):
    first = Follower(layout, "executions", {})
    write(layout, "2026-01-01.jsonl", "one\n")
    drain(first)
    write(layout, "2026-01-02.jsonl", "two\n")

    second = Follower(layout, "executions", dict(first.positions))

    assert drain(second) == [("spam", [b"two"])]


def test_all_tasks_and_files_are_read_oldest_first(layout):
    write(layout, "2026-01-02.jsonl", "d\n")
    write(layout, "2025-12-31.jsonl.gz", "an archive, and not followed")
    write(layout, "2026-01-01.10.jsonl", "c\n")
    write(layout, "2026-01-01.2.jsonl", "b\n")
    write(layout, "2026-01-01.jsonl", "a\n")
    write(layout, "2026-01-01.jsonl.torn", "never\n")
    write(layout, "2026-01-01.jsonl", "x\n", task="other")

    taken = drain(Follower(layout, "executions", {}))

    assert taken == [("other", [b"x"]), *(("spam", [each]) for each in (b"a", b"b", b"c", b"d"))]


def test_a_long_file_comes_in_chunks_and_a_long_line_whole(layout, monkeypatch):
    monkeypatch.setattr(module, "READ_BYTES", 10)
    write(layout, "2026-01-01.jsonl", "aaaa\nbbbb\ncccc\n" + "d" * 35 + "\n")

    taken = drain(Follower(layout, "executions", {}))

    assert taken == [
        ("spam", [b"aaaa", b"bbbb"]),
        ("spam", [b"cccc"]),
        ("spam", [b"d" * 35]),
    ]


def test_backlog_counts_bytes_not_read_yet(layout):
    follower = Follower(layout, "executions", {})
    write(layout, "2026-01-01.jsonl", "one\n")
    drain(follower)

    write(layout, "2026-01-01.jsonl", "three\n")

    assert follower.backlog_bytes() == 6


def test_a_follower_may_read_one_task_alone(layout):
    write(layout, "2026-01-01.jsonl", "one\n")
    write(layout, "2026-01-01.jsonl", "two\n", task="spam-2")

    assert drain(Follower(layout, "executions", {}, task="spam")) == [("spam", [b"one"])]


def test_a_log_that_grows_while_it_is_read_lets_go(layout):
    follower = Follower(layout, "executions", {})
    write(layout, "2026-01-01.jsonl", "0\n")

    taken = []
    for chunk in follower.read():
        taken += chunk.lines
        follower.commit(chunk)
        write(layout, "2026-01-01.jsonl", f"{len(taken)}\n")

    assert taken == [b"0"]
    assert drain(follower) == [("spam", [b"1"])]


def test_positions_within_a_chunk_stand_after_each_line(layout):
    write(layout, "2026-01-01.jsonl", "one\nthree\n")

    [chunk] = Follower(layout, "executions", {}).read()

    assert list(chunk.with_ends()) == [(b"one", 4), (b"three", 10)]


def test_encrypted_lines_are_followed_and_come_again_together(tmp_path):
    layout = Layout(tmp_path, Keyring([b"k" * 32]))
    writer = LogWriter(layout, "executions", FakeClock(0.0))
    sizes = [
        writer.append("spam", [line + b"\n" for line in lines]).stat().st_size
        for lines in ([b"1", b"2"], [b"3"])
    ]
    writer.close()

    [chunk] = Follower(layout, "executions", {}).read()

    assert list(chunk.with_ends()) == [(b"1", 0), (b"2", sizes[0]), (b"3", sizes[1])]
    assert chunk.end == sizes[1]
    assert Follower(layout, "executions", {}).tail() == [b"1", b"2", b"3"]


def test_without_its_key_a_file_waits_and_the_others_go_on(tmp_path):
    sealed = Layout(tmp_path, Keyring([b"k" * 32]))
    writer = LogWriter(sealed, "executions", FakeClock(0.0))
    writer.append("secret", [b"1\n"])
    writer.close()
    write(sealed, "2026-01-01.jsonl", "in clear\n")

    keyless = Follower(Layout(tmp_path), "executions", {})

    assert drain(keyless) == [("spam", [b"in clear"])]
    assert drain(Follower(sealed, "executions", keyless.positions)) == [("secret", [b"1"])]


def test_a_damaged_envelope_comes_as_it_stands(tmp_path):
    layout = Layout(tmp_path, Keyring([b"k" * 32]))
    write(layout, "2026-01-01.jsonl", '{"sealed":"AAAA"}\nnext\n')

    assert drain(Follower(layout, "executions", {})) == [("spam", [b'{"sealed":"AAAA"}', b"next"])]


def test_a_chunk_that_was_read_before_a_later_one_takes_no_position_back(layout):
    follower = Follower(layout, "executions", {})
    write(layout, "2026-01-01.jsonl", "one\n")
    [early] = follower.read()
    write(layout, "2026-01-01.jsonl", "two\n")
    drain(follower)

    follower.commit(early)

    assert drain(follower) == []
