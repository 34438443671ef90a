"""`edged datasets export` and `import`."""

import gzip
import io
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.datasets.archives import rewrite, stored_files
from edged.datasets.backup import restore
from edged.datasets.layout import Layout
from edged.errors import BackupInvalid
from tests.edged.commands.datasets.keys import KEY
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog


def test_a_backup_comes_back_on_another_edge(run, layout, keys, tmp_path):
    exported = run("export", "backup.tar", "--json", keys=keys)

    imported = run("import", "backup.tar", "--json", keys=keys, folder="other")
    shown, original = (run("cat", "spam", keys=keys, folder=name) for name in ("other", "data"))
    followed = list((tmp_path / "other").rglob("*.jsonl"))

    assert json.loads(exported.stdout)["lines"] == 6
    assert json.loads(imported.stdout) == {"placed": 2, "present": 0, "lines": 6}
    assert shown.stdout == original.stdout
    assert followed == []  # nothing is counted or sent a second time


def test_a_task_that_is_named_twice_is_in_a_backup_once(run, layout, keys):
    done = run("export", "backup.tar", "--task", "spam", "--task", "spam", "--json", keys=keys)

    assert json.loads(done.stdout)["lines"] == 6


def test_a_backup_comes_back_over_itself_without_doubling(run, layout, keys):
    run("export", "backup.tar", keys=keys)

    imported = run("import", "backup.tar", "--json", keys=keys)

    assert json.loads(imported.stdout) == {"placed": 0, "present": 2, "lines": 0}
    assert json.loads(run("stats", "spam", "--json", keys=keys).stdout)["executions"] == 6


def test_a_backup_after_an_erasure_brings_back_what_was_erased_and_doubles_nothing(
    run, layout, keys
):
    run("export", "backup.tar", keys=keys)
    for _, path in stored_files(layout, "spam", "executions"):  # an archive, and a live file
        rewrite(path, lambda line: None if is_of("1", "4")(line) else line, layout.keyring)

    first, second = (run("import", "backup.tar", "--json", keys=keys) for _ in range(2))

    shown = [line for line in run("cat", "spam", keys=keys).stdout.splitlines() if "input" in line]
    assert json.loads(first.stdout) == {"placed": 2, "present": 0, "lines": 2}
    assert json.loads(second.stdout) == {"placed": 0, "present": 2, "lines": 0}
    assert sorted(json.loads(line)["input"]["text"] for line in shown) == [*"012345"]
    assert json.loads(run("stats", "spam", "--json", keys=keys).stdout)["executions"] == 6


def test_a_line_that_was_erased_before_the_backup_stays_away(run, layout, keys, tmp_path):
    _, (_, today) = stored_files(layout, "spam", "executions")
    run("export", "whole.tar", keys=keys)
    rewrite(today, lambda line: None if is_of("4")(line) else line, layout.keyring)
    run("export", "erased.tar", keys=keys)
    for name in ("whole.tar", "erased.tar"):
        done = run("import", name, "--json", keys=keys, folder="other")

    assert json.loads(done.stdout) == {"placed": 0, "present": 2, "lines": 0}


def is_of(*texts: str) -> Callable[[bytes], bool]:
    return lambda line: any(b'{"text": "%s"}' % text.encode() in line for text in texts)


def test_a_later_backup_of_a_day_adds_what_an_earlier_one_had_not(run, layout, keys):
    run("export", "noon.tar", keys=keys)
    log = ExecutionLog(layout, FakeClock(time.time()))
    log.append(4)
    log.close()
    run("export", "night.tar", keys=keys)

    for name in ("noon.tar", "night.tar", "noon.tar"):
        run("import", name, keys=keys, folder="other")

    assert len(run("cat", "spam", keys=keys, folder="other").stdout.splitlines()) == 10


def test_a_backup_can_be_in_clear(run, layout, tmp_path):
    run("export", "backup.tar", "--clear", keys=KEY)

    run("import", "backup.tar", folder="other")

    assert len(run("cat", "spam", folder="other").stdout.splitlines()) == 6


def test_a_damaged_backup_changes_nothing(run, layout, keys, tmp_path):
    run("export", "backup.tar", keys=keys)
    content = bytearray((tmp_path / "backup.tar").read_bytes())
    content[content.index(b"\x1f\x8b\x08") + 60] ^= 1
    (tmp_path / "backup.tar").write_bytes(content)

    done = run("import", "backup.tar", keys=keys, folder="other")

    assert done.returncode == 2
    assert "nothing was changed" in done.stderr
    assert not list((tmp_path / "other").rglob("*.jsonl*"))


def test_a_backup_cannot_write_outside_of_datasets(run, layout, tmp_path):
    manifest = {"files": [{"name": "../../evil/2026-01-01.jsonl.gz", "lines": 0, "sha256": ""}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "x").write_text("")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "manifest.json", "manifest.json")
        tar.add(tmp_path / "x", "../../evil/2026-01-01.jsonl.gz")

    done = run("import", "evil.tar")

    assert done.returncode == 2
    assert "is no file of a dataset" in done.stderr
    assert not list(tmp_path.rglob("evil/*"))


def write_tar(path: Path, **contents: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in contents.items():
            header = tarfile.TarInfo(f"{name}.json")
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        *((text, "its manifest is not understood") for text in (b"{", b"{}", b"[]")),
        (b'{"files": [{"name": 5}]}', "its manifest is not understood"),
        (b'{"files": [{"name": "absent"}]}', "it has no absent"),
    ],
)
def test_a_backup_with_an_odd_manifest_is_refused(tmp_path, manifest, reason):
    source = write_tar(tmp_path / "odd.tar", manifest=manifest)

    with pytest.raises(BackupInvalid, match=reason):
        restore(Layout(tmp_path / "data"), source)


@pytest.mark.parametrize(
    "content",
    [b"", b"no tar", gzip.compress(bytes(5_000))[:-12]],
    ids=["empty", "no tar", "cut gzip"],
)
def test_what_is_no_backup_is_refused_in_one_line(tmp_path, content):
    source = tmp_path / "odd.tar"
    source.write_bytes(content)

    with pytest.raises(
        BackupInvalid, match=r"it is no whole tar file|it has no manifest"
    ) as caught:
        restore(Layout(tmp_path / "data"), source)

    assert "\n" not in str(caught.value)
