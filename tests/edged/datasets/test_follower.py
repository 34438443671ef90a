from pathlib import Path

import pytest

from edged.datasets import follower as module
from edged.datasets.follower import Follower
from edged.datasets.layout import Layout


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
    write(layout, "2026-01-02.jsonl", "c\n")
    write(layout, "2026-01-01.jsonl", "b\n")
    write(layout, "2026-01-01.1.jsonl", "a\n")
    write(layout, "2026-01-01.jsonl.torn", "never\n")
    write(layout, "2026-01-01.jsonl", "x\n", task="other")

    taken = drain(Follower(layout, "executions", {}))

    assert taken == [("other", [b"x"]), ("spam", [b"a"]), ("spam", [b"b"]), ("spam", [b"c"])]


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
