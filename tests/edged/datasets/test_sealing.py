import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.datasets.layout import Layout
from edged.datasets.sealing import Keyring, is_sealed, opened
from edged.datasets.writer import LogWriter
from edged.errors import KeyInvalid, KeyMissing, SealedDamaged
from tests.fakes.clock import FakeClock

OLD, NEW = b"o" * 32, b"n" * 32
LINES = [b'{"text":"call 555-1234"}', b'{"text":"two"}']
CONTENT = b"".join(line + b"\n" for line in LINES)


@given(st.lists(st.binary().map(lambda raw: raw.replace(b"\n", b"")), min_size=1), st.booleans())
def test_what_is_sealed_opens_to_the_same_lines(lines, deflate):
    keyring = Keyring([NEW])

    line = keyring.sealer().seal(b"".join(each + b"\n" for each in lines), deflate=deflate)

    assert keyring.open(line[:-1]) == lines


def test_an_envelope_is_one_line_of_json_that_shows_nothing():
    line = Keyring([NEW]).sealer().seal(CONTENT)

    assert line.count(b"\n") == 1
    assert list(json.loads(line)) == ["sealed"]
    assert b"555" not in line


def test_the_same_content_never_gives_the_same_envelope():
    keyring = Keyring([NEW])
    first, second = keyring.sealer(), keyring.sealer()

    envelopes = {sealer.seal(CONTENT) for sealer in (first, first, second, second)}

    assert len(envelopes) == 4


def test_an_older_key_still_opens_and_the_first_one_seals():
    old = Keyring([OLD]).sealer().seal(CONTENT)[:-1]
    rotated = Keyring([NEW, OLD])

    new = rotated.sealer().seal(CONTENT)[:-1]

    assert rotated.open(old) == rotated.open(new) == LINES
    assert (rotated.is_current(old), rotated.is_current(new)) == (False, True)
    with pytest.raises(KeyMissing, match="the key with id"):
        Keyring([OLD]).open(new)


@pytest.mark.parametrize("position", [11, 15, 40, 70, -12])
def test_a_changed_envelope_is_refused(position):
    keyring = Keyring([NEW])
    line = bytearray(keyring.sealer().seal(CONTENT)[:-1])
    line[position] = ord("B") if line[position] == ord("A") else ord("A")

    with pytest.raises((SealedDamaged, KeyMissing)):
        keyring.open(bytes(line))


@pytest.mark.parametrize("line", [b'{"sealed":"', b'{"sealed":""}', b'{"sealed":"!"}'])
def test_what_is_no_envelope_is_refused(line):
    with pytest.raises(SealedDamaged):
        Keyring([NEW]).open(line)


def test_without_a_key_a_sealed_line_is_refused_and_a_plain_one_is_itself():
    line = Keyring([NEW]).sealer().seal(CONTENT)[:-1]

    assert opened(b"plain", None) == [b"plain"]
    with pytest.raises(KeyMissing, match="a key is needed"):
        opened(line, None)


@pytest.mark.parametrize("text", ["short", "zz" * 32, "00" * 31])
def test_a_key_that_is_none_is_refused_without_showing_it(text):
    with pytest.raises(KeyInvalid) as caught:
        Keyring.parse([text])

    assert text not in str(caught.value)


def test_keys_are_hex_and_no_key_is_no_keyring():
    assert Keyring.parse([" ", ""]) is None
    assert Keyring.parse([os.urandom(32).hex() + "\n"]) is not None


def test_a_writer_with_keys_leaves_no_plain_text_on_disk(tmp_path: Path):
    keyring = Keyring([NEW])
    writer = LogWriter(Layout(tmp_path, keyring), "executions", FakeClock(0.0))

    path = writer.append("spam", [line + b"\n" for line in LINES])
    writer.close()

    [line] = path.read_bytes().splitlines()
    assert is_sealed(line)
    assert keyring.open(line) == LINES
