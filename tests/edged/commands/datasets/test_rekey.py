"""`edged datasets rekey`."""

import json

import pytest

from edged.datasets.archives import archive, stored_files
from edged.datasets.counting import DayCounter
from edged.datasets.members import pack_member
from edged.datasets.sealing import Keyring
from tests.edged.commands.datasets.keys import KEY, NEWER


@pytest.mark.parametrize("keys", [KEY], indirect=True)
def test_keys_rotate_until_nothing_needs_the_old_one(run, layout):
    both = f"{NEWER},{KEY}"
    first = json.loads(run("rekey", "--json", keys=both).stdout)
    for _, path in stored_files(layout, "spam", "executions"):
        if path.suffix == ".jsonl":
            archive(path, Keyring.parse(both.split(",")))

    second = json.loads(run("rekey", "--json", keys=both).stdout)
    shown = run("cat", "spam", keys=NEWER)

    assert (first["rewritten"], len(first["waiting"])) == (1, 1)
    assert (second["rewritten"], second["waiting"]) == (0, [])
    assert len(shown.stdout.splitlines()) == 6


@pytest.mark.parametrize("keys", [KEY], indirect=True)
def test_the_statistics_are_encrypted_and_their_keys_rotate_too(run, layout):
    counter = DayCounter(layout)
    counter.count()
    counter.save()
    both = f"{NEWER},{KEY}"
    first = json.loads(run("rekey", "--json", keys=both).stdout)
    _, (_, today) = stored_files(layout, "spam", "executions")
    archive(today, Keyring.parse(both.split(",")))

    second = json.loads(run("rekey", "--json", keys=both).stdout)
    shown = run("stats", "spam", "--json", keys=NEWER)

    [path] = layout.analytics("spam").iterdir()
    assert (first["rewritten"], first["waiting"]) == (1, [str(today), str(path)])
    assert (second["rewritten"], second["waiting"]) == (1, [])
    assert json.loads(shown.stdout)["outputs"] == {'"ham"': 3, '"spam"': 2}
    assert b'"spam"' not in path.read_bytes()
    assert Keyring.parse([NEWER]).is_current(path.read_bytes())


@pytest.mark.parametrize("keys", [KEY], indirect=True)
def test_keys_do_not_rotate_past_a_damaged_line(run, layout):
    _, (_, today) = stored_files(layout, "spam", "executions")
    archived = today.with_name(today.name + ".gz")
    content = b'{"sealed":"A"}\n'
    archived.write_bytes(pack_member(content, 0))
    today.unlink()

    done = run("rekey", keys=f"{NEWER},{KEY}")

    assert done.returncode == 2
    assert f"an encrypted line of {archived} cannot be opened" in done.stderr
