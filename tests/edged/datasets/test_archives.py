import gzip
import io
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.datasets import archives as module
from edged.datasets.archives import (
    archive,
    newest_lines,
    read_lines,
    rewrite,
    stored_files,
    write_archive,
)
from edged.datasets.layout import Layout
from edged.datasets.lookup import find_lines
from edged.datasets.members import Member, members_of
from edged.datasets.sealing import Keyring
from edged.datasets.writer import LogWriter
from edged.errors import ArchiveDamaged, KeyMissing, SealedDamaged
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
KEYRINGS = [None, Keyring([b"k" * 32])]


@pytest.fixture(params=KEYRINGS, ids=["clear", "encrypted"])
def layout(tmp_path: Path, request) -> Layout:
    return Layout(tmp_path, request.param)


def write(layout: Layout, lines: list[bytes]) -> Path:
    writer = LogWriter(layout, "executions", FakeClock(NOON))
    for line in lines:
        path = writer.append("spam", [line + b"\n"])
    writer.close()
    return path


def test_an_archive_holds_every_line_and_the_file_is_gone(layout, monkeypatch):
    monkeypatch.setattr(module, "MEMBER_BYTES", 100)
    lines = [b"line %d" % number for number in range(100)]
    path = write(layout, lines)

    archived = archive(path, layout.keyring)

    assert archived == path.with_name("2026-11-23.jsonl.gz")
    assert list(read_lines(archived, layout.keyring)) == lines
    assert not path.exists()


def test_any_gzip_reads_an_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MEMBER_BYTES", 100)
    path = write(Layout(tmp_path), [b"line %d" % number for number in range(100)])
    content = path.read_bytes()

    archived = archive(path, None)

    assert gzip.decompress(archived.read_bytes()) == content
    done = subprocess.run(["gzip", "-dc", archived], capture_output=True, check=True)
    assert done.stdout == content


def test_an_archive_that_somebody_else_compressed_is_read_too(tmp_path):
    path = tmp_path / "2026-11-23.jsonl.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\ntorn"))

    assert list(read_lines(path, None)) == [b"one", b"two"]


DAMAGES = {  # of an archive's content; at: where its second member begins
    "no header": lambda content, at: content[:at] + b"\0" + content[at + 1 :],
    "no length": lambda content, at: content[: at + 16] + bytes(8) + content[at + 24 :],
    "a length beyond": lambda content, at: content[: at + 16] + b"\xff" * 8 + content[at + 24 :],
    "a body": lambda content, at: content[: at + 40] + b"\0\xff\0\xff" + content[at + 44 :],
    "cut": lambda content, at: content[: at + 50],
    "cut in a header": lambda content, at: content[: at + 10],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_archive_is_read_up_to_the_damage_and_never_rewritten(
    layout, monkeypatch, damage
):
    monkeypatch.setattr(module, "MEMBER_BYTES", 100)
    lines = [b"line %d" % number for number in range(100)]
    archived = archive(write(layout, lines), layout.keyring)
    with archived.open("rb") as file:
        first, second, *_ = members_of(file)
    content = damage(archived.read_bytes(), second.start)
    archived.write_bytes(content)
    found = []

    with pytest.raises(ArchiveDamaged, match=f"{archived} is damaged at byte {first.size}: "):
        found.extend(read_lines(archived, layout.keyring))
    with pytest.raises(ArchiveDamaged):
        rewrite(archived, lambda line: None if line == lines[0] else line, layout.keyring)

    assert found == lines[: len(found)]
    assert found
    assert archived.read_bytes() == content
    assert list(archived.parent.iterdir()) == [archived]


@pytest.mark.parametrize("end", [b"junk", bytes(20)])
def test_what_stands_behind_the_last_member_is_damage(layout, end):
    archived = archive(write(layout, [b"1", b"2"]), layout.keyring)
    with archived.open("ab") as file:
        file.write(end)

    with pytest.raises(ArchiveDamaged, match="no member of an archive begins there"):
        list(read_lines(archived, layout.keyring))


@pytest.mark.parametrize("keep", [slice(None, -10), slice(1, None), slice(5)])
def test_a_damaged_archive_of_somebody_else_is_an_error_too(tmp_path, keep):
    path = tmp_path / "2026-11-23.jsonl.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n" * 1000)[keep])

    with pytest.raises(ArchiveDamaged, match="does not unpack"):
        list(read_lines(path, None))


def test_a_changed_envelope_is_an_error_that_names_the_file(tmp_path):
    keyring = KEYRINGS[1]
    path = write(Layout(tmp_path, keyring), [b"1", b"2"])
    content = path.read_bytes()
    path.write_bytes(content[:-12] + b"AAAA" + content[-8:])

    with pytest.raises(SealedDamaged, match=f"of {path} cannot be opened: it was changed"):
        list(read_lines(path, keyring))


def test_an_input_that_looks_like_an_envelope_is_none(tmp_path):
    path = write(Layout(tmp_path), [b'{"input":{"sealed":"never"}}', b"2"])

    assert not module.has_sealed_lines(path)
    assert len(list(read_lines(path, None))) == 2


def test_an_encrypted_archive_shows_nothing_without_its_key(tmp_path):
    keyring = KEYRINGS[1]
    path = write(Layout(tmp_path, keyring), [b"marker-4711"] * 50)

    archived = archive(path, keyring)

    assert b"marker-4711" not in gzip.decompress(archived.read_bytes())
    with pytest.raises(KeyMissing):
        list(read_lines(archived, None))


def test_a_file_that_a_writer_holds_is_left_alone(layout):
    writer = LogWriter(layout, "executions", FakeClock(NOON))
    path = writer.append("spam", [b"1\n"])

    refused = archive(path, layout.keyring)
    writer.close()

    assert refused is None
    assert archive(path, layout.keyring) is not None


def test_a_torn_tail_is_set_aside_before_archiving(layout):
    path = write(layout, [b"whole"])
    with path.open("ab") as file:
        file.write(b"torn")

    archived = archive(path, layout.keyring)

    assert list(read_lines(archived, layout.keyring)) == [b"whole"]
    assert path.with_name("2026-11-23.jsonl.torn").read_bytes() == b"torn\n"


def test_a_writer_does_not_begin_a_day_again_that_is_archived(layout):
    archive(write(layout, [b"1"]), layout.keyring)

    assert write(layout, [b"2"]).name == "2026-11-23.1.jsonl"


def test_of_a_file_that_is_just_being_archived_the_lines_count_once(layout):
    path = write(layout, [b"1"])
    write_archive(path.with_name(path.name + ".gz"), [b"1"], layout.keyring)

    assert [path for _, path in stored_files(layout, "spam", "executions")] == [path]


def test_executions_are_found_in_archives_by_their_ids(layout, monkeypatch):
    monkeypatch.setattr(module, "MEMBER_BYTES", 2_000)
    clock = FakeClock(NOON)
    executions = ExecutionLog(layout, clock)
    ids = []
    for _ in range(300):
        clock.advance(10)
        ids += executions.append()
    executions.close()
    [(_, path)] = stored_files(layout, "spam", "executions")
    before = find_lines(layout, "spam", ids)

    archive(path, layout.keyring)

    assert find_lines(layout, "spam", ids) == before
    assert list(find_lines(layout, "spam", [ids[150]])) == [ids[150]]


def test_few_members_are_read_for_one_execution(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MEMBER_BYTES", 2_000)
    layout, clock = Layout(tmp_path), FakeClock(NOON)
    executions = ExecutionLog(layout, clock)
    ids = []
    for _ in range(1000):
        clock.advance(10)
        ids += executions.append()
    executions.close()
    [(_, path)] = stored_files(layout, "spam", "executions")
    archive(path, None)
    read = []
    unpack = Member.read
    monkeypatch.setattr(Member, "read", lambda *given: read.append(1) or unpack(*given))

    assert list(find_lines(layout, "spam", [ids[100]])) == [ids[100]]
    assert len(read) < 5


def test_a_damaged_member_hides_only_its_own_executions(layout, monkeypatch):
    monkeypatch.setattr(module, "MEMBER_BYTES", 2_000)
    clock = FakeClock(NOON)
    executions = ExecutionLog(layout, clock)
    ids = [executions.append()[0] for _ in range(300)]
    executions.close()
    [(_, path)] = stored_files(layout, "spam", "executions")
    archived = archive(path, layout.keyring)
    damaged = bytearray(archived.read_bytes())
    damaged[-200:-100] = b"\0" * 100
    archived.write_bytes(damaged)

    assert list(find_lines(layout, "spam", [ids[0], ids[-1]])) == [ids[0]]


def without_phone(line: bytes) -> bytes | None:
    if line == b'{"remove":"this line"}':
        return None
    return line.replace(b"555-1234", b"") if b"555" in line else line


SUBJECTS = [b'{"phone":"555-1234"}', b'{"phone":"none"}', b'{"remove":"this line"}']


def test_a_rewritten_archive_forgets(layout):
    archived = archive(write(layout, SUBJECTS), layout.keyring)

    changed = rewrite(archived, without_phone, layout.keyring)

    assert changed == 2
    assert list(read_lines(archived, layout.keyring)) == [b'{"phone":""}', b'{"phone":"none"}']


def test_in_a_file_that_is_followed_every_position_stays(layout):
    path = write(layout, SUBJECTS)
    size = path.stat().st_size

    changed = rewrite(path, without_phone, layout.keyring)

    assert changed == 2
    assert path.stat().st_size == size
    assert [line.rstrip() for line in read_lines(path, layout.keyring)] == [
        b'{"phone":""}',
        b'{"phone":"none"}',
        b"{}",
    ]


class GrowingFile(io.RawIOBase):
    """A file to which a writer appends between two reads; an empty part is its end for a moment."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = list(parts)

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray) -> int:
        part = self._parts.pop(0) if self._parts else b""
        target[: len(part)] = part
        return len(part)


def test_a_line_that_is_just_being_written_ends_a_rewrite():
    file = io.BufferedReader(GrowingFile(b"first\nsecond\nha", b"", b"lf\nthird\n"))

    lines = list(module._whole_lines(file))

    assert lines == [b"first", b"second"]  # what follows would not stand where it is counted to be


def test_a_rewrite_that_changes_nothing_writes_nothing(layout):
    archived = archive(write(layout, [b"{}"]), layout.keyring)
    before = archived.stat()

    assert rewrite(archived, without_phone, layout.keyring) == 0
    assert archived.stat().st_mtime_ns == before.st_mtime_ns


def test_a_line_of_a_live_file_cannot_grow(layout):
    path = write(layout, [b"{}"])

    with pytest.raises(ValueError, match="cannot grow"):
        rewrite(path, lambda line: line + b" ", layout.keyring)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.binary(max_size=60).map(lambda raw: b"." + raw.replace(b"\n", b""))),
    st.sampled_from(KEYRINGS),
    st.integers(1, 200),
)
def test_any_lines_survive_an_archive(tmp_path_factory, lines, keyring, member_bytes):
    path = tmp_path_factory.mktemp("log") / "2026-11-23.jsonl.gz"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MEMBER_BYTES", member_bytes)
        write_archive(path, lines, keyring)

    assert list(read_lines(path, keyring)) == lines


def newest(layout: Layout, since: str = "") -> list[bytes]:
    return list(newest_lines(layout, "spam", "executions", since))


def test_lines_are_read_from_the_newest_on_through_every_kind_of_file(layout, monkeypatch):
    monkeypatch.setattr(module, "MEMBER_BYTES", 10)
    folder = layout.log("spam", "executions")
    folder.mkdir(parents=True)
    (folder / "2026-01-01.jsonl.gz").write_bytes(gzip.compress(b"a\nb\n"))
    write_archive(folder / "2026-01-02.jsonl.gz", [b"c" * 12, b"d", b"e" * 25], layout.keyring)
    (folder / "2026-01-03.jsonl").write_bytes(b"f\n" + b"g" * 35 + b"\nh\n\nbeing writt")

    assert newest(layout) == [b"", b"h", b"g" * 35, b"f", b"e" * 25, b"d", b"c" * 12, b"b", b"a"]
    assert newest(layout, since="2026-01-03") == [b"", b"h", b"g" * 35, b"f"]


def test_what_was_encrypted_is_read_from_the_newest_on_and_needs_its_key(tmp_path):
    sealed = Layout(tmp_path, KEYRINGS[1])
    writer = LogWriter(sealed, "executions", FakeClock(0.0))
    for lines in ([b"1\n", b"2\n"], [b"3\n"]):
        path = writer.append("spam", lines)
    writer.close()
    with path.open("ab") as file:
        file.write(b'{"sealed":"AAAA"}\n')

    assert newest(sealed) == [b'{"sealed":"AAAA"}', b"3", b"2", b"1"]
    with pytest.raises(KeyMissing):
        newest(Layout(tmp_path))
