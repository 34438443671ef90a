"""`stats`, `latency`, `cat`, and what any verb says of what cannot be."""

import json
import time

import pytest

from edged.datasets.archives import stored_files
from edged.datasets.writer import LogWriter
from tests.edged.commands.datasets.keys import KEY, NEWER

LOOKS = ("cat", "stats", "latency", "query")


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
    assert len(done.stdout.splitlines()) == ({"body": 3, "end": 6}[place] if verb == "cat" else 0)


@pytest.mark.parametrize("verb", [*LOOKS, "export"])
def test_what_cannot_be_read_is_one_clear_line(run, layout, keys, verb):
    odd = layout.log("spam", "executions") / time.strftime("%Y-%m-%d.7.jsonl", time.gmtime())
    odd.mkdir()

    done = run(verb, "backup.tar" if verb == "export" else "spam", keys=keys)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"Is a directory: '{odd}'" in done.stderr


@pytest.mark.parametrize("verb", [*LOOKS, "export"])
@pytest.mark.parametrize("keys", [""], indirect=True)
def test_a_window_may_be_longer_than_history(run, layout, verb):
    done = run(verb, "backup.tar" if verb == "export" else "spam", "--days", "9999999999")

    assert (done.returncode, done.stderr) == (0, "")
