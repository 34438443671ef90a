"""`edged privacy` in a process of its own, as people call it."""

import json
import random
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edged.datasets.archives import archive
from edged.datasets.layout import Layout
from edged.datasets.records import Execution, Timestamps, render
from edged.datasets.sealing import Keyring
from edged.datasets.writer import LogWriter
from tests.edged.agent.lines import LINE

INPUT = {"text": "mail ann@example.com", "phone": 4155550132, "10.0.0.1": [{"n": 1}]}
NOW_S = 1_764_000_000.0
DISK_BYTES = 16_384  # the most that a file may have where the disk is full


@pytest.fixture
def run(tmp_path: Path):
    def run(*arguments: str, stdin: bytes = b"", **how: Any) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "edged.commands", "privacy", *arguments]
        return subprocess.run(
            command, input=stdin, capture_output=True, cwd=tmp_path, check=False, **how
        )

    return run


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data_dir with three executions of a task, the last one full of personal data."""
    layout = Layout(tmp_path / "data")
    layout.state.mkdir(parents=True)
    values = ("first", "second", INPUT)
    append(layout, *(execution(number, value) for number, value in enumerate(values)))
    return tmp_path / "data"


def execution(number: int, value: object) -> Execution:
    return Execution(
        execution_id=f"019163d8-694a-7000-8000-00000000000{number}",
        task="spam",
        version=1,
        arm="stable",
        input_json=json.dumps(value).encode(),
        output_json=b'"ann@example.com"',
        latency_ms=1.5,
    )


def append(layout: Layout, *executions: Execution, now_s: float = NOW_S) -> Path:
    when = Timestamps().text(now_s)
    writer = LogWriter(layout, "executions", lambda: now_s)
    path = writer.append("spam", [render(each, when) for each in executions])
    writer.close()
    return path


def write_validation(layout: Layout, number: int, *, now_s: float) -> None:
    """Log a validation of that execution."""
    line = LINE | {"execution_id": execution(number, "").execution_id, "task": "spam"}
    writer = LogWriter(layout, "validations", lambda: now_s, prefix="sampled-")
    writer.append("spam", [json.dumps(line | {"input": "same"}).encode() + b"\n"])
    writer.close()


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_scrub_prints_each_line_as_it_would_leave(run):
    done = run("scrub", stdin=json.dumps(INPUT).encode() + b'\n\n"harmless"\n')

    assert done.returncode == 0
    assert lines(done) == [
        {
            "input": {"text": "mail [EMAIL]", "phone": "[PHONE]", "[IP]": [{"n": 1}]},
            "erased": [
                {"path": "$.text", "kind": "EMAIL"},
                {"path": "$.phone", "kind": "PHONE"},
                {"path": '$["[IP]"]', "kind": "IP"},
            ],
        },
        {"input": "harmless", "erased": []},
    ]


def test_scrub_in_strict_prints_no_text(run):
    done = run("scrub", "--mode", "strict", stdin=b'"marker"\n')

    [line] = lines(done)
    assert line["input"] is None
    assert len(line["input_hash"]) == 64
    assert b"marker" not in done.stdout


def test_scrub_withholds_what_it_cannot_read_and_goes_on(run):
    done = run("scrub", stdin=b'{"marker": \n"fine"\n')

    assert done.returncode == 1
    assert lines(done) == [
        {"input": None, "erased": [], "withheld": "malformed"},
        {"input": "fine", "erased": []},
    ]
    assert b"marker" not in done.stdout + done.stderr


def test_scrub_heeds_the_deployments_rules(run, tmp_path):
    config = tmp_path / "deployment.yaml"
    config.write_text('privacy: {fields: {"$.a": mask}, patterns: {badge: "B-[0-9]+"}}')

    done = run("scrub", "--config", str(config), stdin=b'{"a": 1, "b": "B-77"}\n')

    assert lines(done)[0]["input"] == {"a": "***", "b": "[BADGE]"}


def test_preview_shows_the_last_executions_as_they_would_leave(run, data_dir):
    done = run("preview", "spam", "--last", "2", "--data-dir", str(data_dir))

    second, third = lines(done)
    assert (second["input"], second["output"]) == ("second", "[EMAIL]")
    assert third["input"] == {"text": "mail [EMAIL]", "phone": "[PHONE]", "[IP]": [{"n": 1}]}
    assert third["erased"][0] == "input.text EMAIL"
    assert third["latency_ms"] == 1.5
    assert not (data_dir / "state" / "audit").exists()
    assert not (data_dir / "state" / "privacy.key").exists()


def test_preview_in_strict_shows_hashes(run, data_dir):
    done = run("preview", "spam", "--mode", "strict", "--data-dir", str(data_dir))

    assert b"example.com" not in done.stdout
    assert all(len(line["input_hash"]) == 64 and "input" not in line for line in lines(done))


def test_preview_goes_back_through_days_and_archives(run, data_dir):
    layout = Layout(data_dir)
    archive(next(layout.log("spam", "executions").glob("*.jsonl")), None)
    append(layout, execution(3, "today"), now_s=NOW_S + 2 * 86_400)
    (layout.log("spam", "executions") / "2025-11-27.jsonl").touch()  # a quiet day
    write_validation(layout, 0, now_s=NOW_S)
    write_validation(layout, 3, now_s=NOW_S + 3 * 86_400)

    shown = lines(run("preview", "spam", "--last", "9", "--data-dir", str(data_dir)))

    assert [shown[at]["input"] for at in (0, 1, 3)] == ["same", "second", "same"]
    assert [line.get("validation", {}).get("oracle") for line in shown] == [
        "http",
        None,
        None,
        "http",
    ]


def test_preview_without_the_key_says_so(run, tmp_path):
    sealed = Layout(tmp_path / "data", Keyring([b"k" * 32]))
    append(sealed, execution(0, "first"))

    done = run("preview", "spam", "--data-dir", str(tmp_path / "data"))

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"the log is encrypted; a key is needed" in done.stderr


def test_preview_of_logs_that_hold_nothing_says_so(run, data_dir):
    next(Layout(data_dir).log("spam", "executions").glob("*.jsonl")).write_bytes(b"{}\n")

    done = run("preview", "spam", "--data-dir", str(data_dir))

    assert done.returncode == 2
    assert b"no executions of spam" in done.stderr


def test_preview_of_an_unknown_task_says_so(run, data_dir):
    done = run("preview", "nothing", "--data-dir", str(data_dir))

    assert done.returncode == 2
    assert b"no executions of nothing" in done.stderr


def test_erase_takes_a_subject_out_and_leaves_a_request(run, data_dir):
    looked = run(
        *("erase", "spam", "--match", "$.phone=4155550132", "--dry-run"),
        *("--data-dir", str(data_dir)),
    )
    done = run("erase", "spam", "--match", "$.phone=4155550132", "--data-dir", str(data_dir))

    log = next((data_dir / "datasets" / "spam" / "executions").iterdir()).read_bytes()
    assert lines(looked)[0]["erased"]["executions"] == 1
    [answer] = lines(done)
    assert (answer["executions"], answer["erased"]["executions"]) == (1, 1)
    assert b"4155550132" not in log
    assert log.count(b'"input"') == 2
    assert Path(answer["request"]).exists()


def test_erase_names_what_it_could_not_read(run, data_dir):
    layout = Layout(data_dir)
    archived = archive(append(layout, execution(3, "third")), None)
    append(layout, execution(4, INPUT))
    with archived.open("ab") as file:
        file.write(b"rest of a member")

    done = run("erase", "spam", "--match", "$.phone=4155550132", "--data-dir", str(data_dir))

    [answer] = lines(done)
    assert done.returncode == 1
    assert answer["erased"]["executions"] == 1
    assert [text.partition(" is damaged")[0] for text in answer["damaged"]] == [str(archived)]
    assert Path(answer["request"]).exists()


def test_erase_wants_a_task_and_no_path(run, data_dir):
    done = run("erase", "../datasets/spam", "--match", "$.a=1", "--data-dir", str(data_dir))

    assert done.returncode == 2
    assert b"has no data of ../datasets/spam" in done.stderr


def test_erase_refuses_a_match_that_fits_everything(run, data_dir):
    done = run("erase", "spam", "--match", "a", "--data-dir", str(data_dir))

    assert done.returncode == 2
    assert b"at least 3 characters" in done.stderr


@pytest.mark.parametrize("match", ["$.phone=", "$.phone"])
def test_erase_refuses_a_path_without_a_value(run, data_dir, match):
    torn = data_dir / "datasets" / "spam" / "executions" / "2025-11-24.jsonl.torn"
    torn.write_bytes(b"a tail\n")

    done = run("erase", "spam", "--match", match, "--data-dir", str(data_dir))

    assert done.returncode == 2
    assert b"a path needs a value" in done.stderr
    assert torn.read_bytes() == b"a tail\n"


def test_an_erasure_that_fails_on_the_way_has_left_the_ids_for_the_agent(run, data_dir):
    large = execution(4, random.Random(1).randbytes(DISK_BYTES).hex())
    path = append(Layout(data_dir), large)
    archive(path, None)

    done = run(
        *("erase", "spam", "--match", "$.phone=4155550132", "--data-dir", str(data_dir)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, DISK_BYTES)),
    )

    assert done.returncode == 2
    [request] = (data_dir / "state" / "erasures").glob("*.json")
    assert str(request).encode() in done.stderr
    assert len(json.loads(request.read_bytes())["execution_ids"]) == 1
