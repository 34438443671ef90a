"""What is erased from the files of an edge."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent import erasing as module_of_erasing
from edged.agent.batches import BatchFolder
from edged.datasets.archives import archive, read_lines, stored_files
from edged.datasets.layout import Layout
from edged.datasets.members import pack_member
from edged.datasets.sealing import Keyring
from tests.edged.agent.erasing import (
    MARKER,
    TODAY_S,
    content,
    erase,
    eraser,
    execution,
    identifier,
    outcome,
    write,
)


def test_the_subject_goes_from_every_file_and_nobody_else(filled):
    assert MARKER.encode() in content(filled)

    erased = erase(filled)

    left = content(filled)
    assert MARKER.lower().encode() not in left.lower()
    assert left.count(b"Bee") >= 4
    assert erased == {
        "executions": 4,  # 1 and 3, 2 by its truth, and a torn line
        "validations": 1,
        "outcomes": 2,
        "sealed batches": 2,
    }


def test_positions_of_a_followed_file_stay(filled):
    path = filled.log("spam", "executions") / "2025-11-24.jsonl"
    size = path.stat().st_size

    erase(filled)

    lines = path.read_bytes().split(b"\n")
    assert path.stat().st_size == size
    assert lines[0].strip() == b"{}"
    assert orjson.loads(lines[1])["input"] == {"text": "Bee"}


def test_counts_of_sealed_batches_stay(filled):
    erase(filled)

    [number] = BatchFolder(filled).pending()
    batch = wire.TelemetryBatch.FromString(BatchFolder(filled).read(number))
    assert sum(arm.executions for arm in batch.arms) == 2
    assert [each.execution_id for each in batch.executions] == [identifier(4)]


def test_a_batch_that_is_filtered_anew_meanwhile_is_not_said_to_be(filled, monkeypatch):
    folder, forget = BatchFolder(filled), module_of_erasing.forget_records
    before = folder.filtered_by(1)

    def filter_and_forget(*what: Any) -> int:
        folder.replace(1, b"", filtered_by="tighter")
        return forget(*what)

    monkeypatch.setattr(module_of_erasing, "forget_records", filter_and_forget)

    erase(filled)

    assert folder.filtered_by(1) == before


def test_looking_alone_changes_nothing(filled):
    before = content(filled)

    found = eraser(filled).find()

    assert found == {"executions": 3, "validations": 1, "outcomes": 2}
    assert content(filled) == before


def test_erased_twice_is_erased_once(filled):
    erase(filled)

    assert sum(erase(filled).values()) == 0


def test_encrypted_lines_are_found_and_stay_encrypted(tmp_path):
    layout = Layout(tmp_path / "data", Keyring.parse(["ab" * 32]))
    layout.batches.mkdir(parents=True)
    path = write(layout, "executions", TODAY_S, execution(1, MARKER), execution(2, "Bee"))

    erased = erase(layout)

    assert erased["executions"] == 1
    assert b"Bee" not in path.read_bytes()
    assert eraser(layout, "Bee").find()["executions"] == 1
    assert eraser(layout).find()["executions"] == 0


def test_a_file_that_is_archived_meanwhile_is_erased_from_all_the_same(filled, monkeypatch):
    listed = module_of_erasing.stored_files(filled, "spam", "executions")
    archive(filled.log("spam", "executions") / "2025-11-24.jsonl", None)
    monkeypatch.setattr(
        module_of_erasing,
        "stored_files",
        lambda layout, task, kind: (
            listed if kind == "executions" else stored_files(layout, task, kind)
        ),
    )

    erased = erase(filled)

    assert erased["executions"] == 4
    assert MARKER.lower().encode() not in content(filled).lower()


def test_what_comes_after_the_look_is_known_by_its_id_too(filled):
    found = eraser(filled)
    found.find()
    write(filled, "executions", TODAY_S, execution(5, MARKER))
    write(filled, "outcomes", TODAY_S, outcome(5))

    erased = found.erase()

    assert identifier(5) in found.ids
    assert (erased["executions"], erased["outcomes"]) == (5, 3)


def test_a_sealed_batch_that_cannot_be_read_goes_whole(filled):
    [path] = filled.batches.glob("*.batch")
    path.write_bytes(path.read_bytes()[:-5])

    erase(filled)

    assert list(filled.batches.iterdir()) == []


@pytest.fixture
def damaged(tmp_path) -> tuple[Layout, Path, list[bytes]]:
    """Encrypted executions in a file, and its lines as they are stored, of which one is damaged."""
    layout = Layout(tmp_path / "data", Keyring.parse(["ab" * 32]))
    layout.batches.mkdir(parents=True)
    for number, text in enumerate((MARKER, "Bee", MARKER, "Bee")):
        path = write(layout, "executions", TODAY_S, execution(number, text))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:-12] + b"AAAA" + lines[1][-8:]
    path.write_bytes(b"".join(lines))
    return layout, path, lines


def test_a_damaged_line_is_passed_over_and_named(damaged):
    layout, path, lines = damaged
    found = eraser(layout)
    found.find()

    erased = found.erase()

    assert erased["executions"] == 2
    assert found.damaged == {f"an encrypted line of {path} cannot be opened"}
    assert path.read_bytes().splitlines(keepends=True)[1::2] == lines[1::2]


def test_a_damaged_line_of_an_archive_is_set_aside(damaged):
    layout, path, lines = damaged
    archived = path.with_name(f"{path.name}.gz")
    archived.write_bytes(b"".join(pack_member(line, 0) for line in lines))
    path.unlink()
    found = eraser(layout)
    found.find()

    erased = found.erase()
    again = erase(layout)

    assert (erased["executions"], again["executions"]) == (2, 0)
    assert found.damaged == {f"an encrypted line of {archived} cannot be opened"}
    assert list(read_lines(archived, layout.keyring)) == [execution(3, "Bee")[:-1]]
    assert archived.with_name(f"{archived.name}.torn").read_bytes() == lines[1]


def test_a_damaged_archive_stays_and_the_rest_is_erased(filled):
    [archived] = filled.log("spam", "executions").glob("*.gz")
    content = archived.read_bytes() + b"rest of a member"
    archived.write_bytes(content)
    found = eraser(filled)
    found.find()

    erased = found.erase()

    assert (erased["executions"], erased["validations"], erased["outcomes"]) == (2, 1, 2)
    assert [text.partition(" is damaged")[0] for text in found.damaged] == [str(archived)]
    assert archived.read_bytes() == content


def test_a_torn_line_speaks_of_the_subject_whatever_its_letters(filled):
    torn = filled.log("spam", "outcomes") / "2025-11-24.jsonl.torn"
    torn.write_bytes(b'%s\n{"truth":"Bee \xff\n' % '{"truth":"ÄNN MÖRKER"'.encode())

    erased = eraser(filled, "Änn Mörker").erase()

    assert erased["outcomes"] == 1
    assert torn.read_bytes().startswith(b'{"truth":"Bee ')
