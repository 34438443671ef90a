"""`edged datasets` in a process of its own, as people call it."""

import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.datasets.archives import archive, rewrite, stored_files
from edged.datasets.counting import DayCounter
from edged.datasets.layout import Layout
from edged.datasets.members import pack_member
from edged.datasets.sealing import Keyring
from edged.datasets.writer import LogWriter
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog

DAY_S = 86_400
KEY, NEWER = "11" * 32, "22" * 32


@pytest.fixture
def run(tmp_path: Path):
    def run(*arguments: str, keys: str = "", folder: str = "data") -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "edged.commands", "datasets", *arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LOOPAI_")}
        if keys:
            environment["LOOPAI_STORAGE__ENCRYPTION__KEY"] = keys
        environment["LOOPAI_STORAGE__DATA_DIR"] = str(tmp_path / folder)
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, check=False, env=environment
        )

    return run


@pytest.fixture(params=["", KEY], ids=["clear", "encrypted"])
def keys(request) -> str:
    return request.param


@pytest.fixture
def layout(tmp_path: Path, keys: str) -> Layout:
    """A data_dir with an archived yesterday (3 executions) and a today (2 and a timeout)."""
    layout = Layout(tmp_path / "data", Keyring.parse([keys]))
    clock = FakeClock(time.time() - DAY_S)
    log = ExecutionLog(layout, clock)
    log.append(3, latency_ms=1.0)
    clock.advance(DAY_S)
    log.append(2, latency_ms=4.0, version=3, output_json=b'"spam"')
    log.append(1, latency_ms=9.0, status="timeout", error_type="Timeout")
    log.close()
    (_, yesterday), _ = stored_files(layout, "spam", "executions")
    archive(yesterday, layout.keyring)
    return layout


def test_stats_count_by_outcome_arm_and_day(run, layout, keys):
    done = run("stats", "spam", "--days", "7", "--json", keys=keys)

    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert (report["executions"], report["statuses"]) == (6, {"success": 5, "timeout": 1})
    assert [day["executions"] for day in report["by_day"]] == [3, 3]
    assert {arm["version"]: arm["executions"] for arm in report["arms"]} == {2: 4, 3: 2}
    assert report["outputs"] == {'"ham"': 3, '"spam"': 2}
    assert report["validations"] == {"validated": 0, "matched": 0}
    assert report["dropped"] == {}
    assert not list((layout.datasets / "spam").glob("analytics/*"))  # looking changes nothing


def test_a_validation_that_a_kill_had_written_twice_counts_once(run, layout, keys):
    log = LogWriter(layout, "validations", time.time, prefix="sampled-")
    for identifier, match in (("a", True), ("b", False), ("a", True)):
        log.append("spam", [json.dumps({"id": identifier, "match": match}).encode() + b"\n"])
    log.close()

    done = run("stats", "spam", "--json", keys=keys)

    assert json.loads(done.stdout)["validations"] == {"validated": 2, "matched": 1}


def test_a_shorter_window_leaves_days_out(run, layout, keys):
    done = run("stats", "spam", "--days", "1", "--json", keys=keys)

    assert json.loads(done.stdout)["executions"] == 3


def test_latency_tells_quantiles(run, layout, keys):
    done = run("latency", "spam", "--json", keys=keys)

    report = json.loads(done.stdout)
    assert report["latency_ms"]["count"] == 6
    assert report["latency_ms"]["max"] == 9.0
    assert report["by_day"][0]["latency_ms"]["p99"] == pytest.approx(1.0, rel=0.01)
    assert "bins" not in report["latency_ms"]


def test_cat_prints_the_lines_in_clear(run, layout, keys):
    done = run("cat", "spam", keys=keys)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["input"]["text"] for line in lines] == ["0", "1", "2", "3", "4", "5"]


def test_a_query_joins_days_and_forms(run, layout, keys):
    sql = "SELECT version, count(*) AS n, max(latency_ms) AS worst FROM executions GROUP BY 1"

    done = run("query", "spam", f"{sql} ORDER BY 1", "--json", keys=keys)

    assert json.loads(done.stdout) == {
        "columns": ["version", "n", "worst"],
        "rows": [{"version": 2, "n": 4, "worst": 9.0}, {"version": 3, "n": 2, "worst": 4.0}],
    }


def test_a_query_sees_inside_inputs_and_other_logs(run, layout, keys):
    sql = "SELECT input, error->>'type' AS type FROM executions WHERE input->>'text' = '5'"
    empty = "SELECT count(*) AS n FROM validations"

    found, none = (run("query", "spam", text, "--json", keys=keys) for text in (sql, empty))

    assert json.loads(found.stdout)["rows"] == [{"input": {"text": "5"}, "type": "Timeout"}]
    assert json.loads(none.stdout)["rows"] == [{"n": 0}]


def test_a_querys_tables_have_no_case(run, layout, keys):
    done = run("query", "spam", "SELECT count(*) AS n FROM Executions", "--json", keys=keys)

    assert json.loads(done.stdout)["rows"] == [{"n": 6}]


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        ("SELECT 1 AS a, 2 AS a, 3 AS a_1", {"a": 1, "a_1": 2, "a_1_1": 3}),
        ("SELECT MAP {1: 'x', 2: 'y'} AS m", {"m": {"1": "x", "2": "y"}}),
        ("SELECT [MAP {1.5: {'s': 1}}] AS m", {"m": [{"1.5": {"s": 1}}]}),
        (f"SELECT {2**126} AS large, {2**63} AS n", {"large": 2**126, "n": 2**63}),
    ],
)
def test_a_querys_values_are_all_there_in_json(run, layout, sql, row):
    done = run("query", "spam", sql, "--json")

    assert json.loads(done.stdout) == {"columns": list(row), "rows": [row]}


def test_without_sql_a_query_shows_the_latest(run, layout, keys):
    done = run("query", "spam", keys=keys)

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 7


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("stats", "none"), "there is no dataset of 'none' here; there is: spam"),
        (("query", "spam", "SELEC 1"), "syntax error"),
        (("export", "x.tar", "--task", "none"), "there is no dataset of none here"),
        (("import", "absent.tar"), "No such file"),
        (("rekey",), "storage.encryption has no key"),
    ],
)
def test_what_cannot_be_is_one_clear_line(run, layout, arguments, reason):
    done = run(*arguments)

    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_data_dir_without_datasets_is_named(run):
    done = run("stats", "spam", folder="nowhere")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nowhere holds no datasets" in done.stderr


@pytest.mark.parametrize("keys", [KEY], indirect=True)
@pytest.mark.parametrize("verb", ["stats", "cat", "query"])
def test_without_the_key_nothing_is_shown(run, layout, verb):
    done = run(verb, "spam")

    assert done.returncode == 2
    assert "the log is encrypted; a key is needed" in done.stderr
    assert done.stdout == ""


LOOKS = ("cat", "stats", "latency", "query")


@pytest.mark.parametrize("verb", [*LOOKS, "export", "rekey"])
@pytest.mark.parametrize("place", ["body", "end"])
def test_a_damaged_archive_is_named_and_left_as_it_is(run, layout, keys, verb, place):
    (_, archived), _ = stored_files(layout, "spam", "executions")
    content = bytearray(archived.read_bytes())
    content[-20] ^= 0xFF if place == "body" else 0
    archived.write_bytes(content + (b"" if place == "body" else b"rest of a member"))
    before = archived.read_bytes()
    subject = {"export": ["backup.tar"], "rekey": []}.get(verb, ["spam"])

    done = run(verb, *subject, keys=f"{NEWER},{keys}")

    assert done.returncode == 2
    assert f"edged: {archived} is damaged at byte" in done.stderr
    assert done.stderr.count("\n") == 1
    assert archived.read_bytes() == before
    assert len(done.stdout.splitlines()) == (
        {"body": 3, "end": 6}[place] if verb == "cat" else 0
    )


@pytest.mark.parametrize("verb", [*LOOKS, "export"])
def test_what_cannot_be_read_is_one_clear_line(run, layout, keys, verb):
    odd = layout.log("spam", "executions") / time.strftime("%Y-%m-%d.7.jsonl", time.gmtime())
    odd.mkdir()

    done = run(verb, "backup.tar" if verb == "export" else "spam", keys=keys)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"Is a directory: '{odd}'" in done.stderr


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


@pytest.mark.parametrize("verb", [*LOOKS, "export"])
@pytest.mark.parametrize("days", ["9999999", "99999999999999999999"])
def test_a_window_may_be_longer_than_history(run, layout, keys, verb, days):
    done = run(verb, "backup.tar" if verb == "export" else "spam", "--days", days, keys=keys)

    assert (done.returncode, done.stderr) == (0, "")


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
