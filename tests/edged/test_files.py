from pathlib import Path

import pytest

from edged.files import point_link, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path):
    path = tmp_path / "routes.json"
    write_whole(path, b"old")

    write_whole(path, b"new", mode=0o600)

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "occupied").write_text("")

    with pytest.raises(OSError, match="directory"):
        write_whole(path, b"new")

    assert list(tmp_path.iterdir()) == [path]


def test_a_link_moves_without_a_gap(tmp_path: Path):
    link = tmp_path / "active"
    point_link(link, "v1")

    point_link(link, "v2")

    assert str(link.readlink()) == "v2"
    assert list(tmp_path.iterdir()) == [link]
