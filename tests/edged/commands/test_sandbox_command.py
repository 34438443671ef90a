"""`edged sandbox try` as a process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PAYLOADS = [
    {"name": "fine", "category": "benign", "expect": "ok", "code": "def run(x): return x['n']"},
    {"name": "reads", "expect": "blocked", "code": "def run(x): return open('/etc/passwd').read()"},
    {"name": "spins", "expect": "timeout", "code": "def run(x):\n while True: pass"},
    {"name": "fills", "expect": "memory", "code": "def run(x): return len('a' * 10 ** 10)"},
    {"name": "asks", "expect": "ok", "code": "def run(x): return x + 1", "input": 4},
]
SIGNALS = {
    "name": "signals",
    "expect": "blocked",
    "code": "import os\ndef run(x):\n os.kill(os.getppid(), 9)\n return 'PWNED'",
}
ESCAPES = {"name": "escapes", "expect": "blocked", "code": "def run(x): return 'PWNED'"}


@pytest.fixture
def try_(tmp_path: Path):
    def try_(payloads: list[dict[str, object]], *words: str, python: str = sys.executable):
        file = tmp_path / "payloads.jsonl"
        file.write_text("".join(json.dumps(payload) + "\n" for payload in payloads))
        options = ["--python", python] if python else []
        command = [sys.executable, "-m", "edged.commands", "sandbox", "try", str(file)]
        return subprocess.run(
            [*command, *options, *words], capture_output=True, text=True, check=False
        )

    return try_


def verdicts(report: dict[str, object]) -> dict[str, tuple[str, str]]:
    (trial,) = report["trials"]
    return {row["name"]: (row["verdict"], row["layer"]) for row in trial["results"]}


def test_each_program_has_a_verdict_and_the_layer_that_gave_it(try_):
    ended = try_(PAYLOADS, "--json")

    report = json.loads(ended.stdout)
    assert (ended.returncode, report["as_expected"], report["programs"]) == (0, True, 5)
    assert verdicts(report) == {
        "fine": ("ok", "none"),
        "reads": ("blocked", "language"),
        "spins": ("timeout", "supervision"),
        "fills": ("memory", "rlimits"),
        "asks": ("ok", "none"),
    }
    assert report["trials"][0]["barriers"]["seccomp"] is True


def test_programs_are_tried_on_monty_too(try_):
    ended = try_([*PAYLOADS, ESCAPES], "--json", "--backend", "monty", python="")

    report = json.loads(ended.stdout)
    assert (ended.returncode, report["backend"]) == (1, "monty")
    assert {name: verdict for name, (verdict, _layer) in verdicts(report).items()} == {
        "fine": "ok",
        "reads": "blocked",
        "spins": "timeout",
        "fills": "memory",
        "asks": "ok",
        "escapes": "pwned",
    }


def test_a_program_that_got_through_differs_and_fails_the_command(try_):
    ended = try_([*PAYLOADS[:1], ESCAPES])

    assert ended.returncode == 1
    assert "DIFF escapes" in ended.stdout
    assert "2 programs, 1 not as expected" in ended.stdout


def test_without_the_language_the_kernel_stops_what_reaches_for_the_machine(try_):
    ended = try_([*PAYLOADS, SIGNALS], "--json", "--without", "language")

    report = json.loads(ended.stdout)
    found = verdicts(report)
    assert (ended.returncode, report["without"]) == (0, ["language"])
    assert (found["reads"], found["signals"]) == (("blocked", "seccomp"), ("blocked", "seccomp"))
    assert found["spins"] == ("timeout", "supervision")


def test_what_one_call_leaves_behind_is_seen_by_the_next(try_):
    counts = "N = []\ndef run(x):\n N.append(1)\n return 'PWNED' if len(N) > 1 else 'clean'"

    kept = try_([{"name": "n", "expect": "blocked", "code": counts}], "--without", "language")
    fresh = try_([{"name": "n", "expect": "blocked", "code": counts}])

    assert (kept.returncode, fresh.returncode) == (1, 0)


def test_the_pythons_of_this_machine_are_named(try_):
    ended = try_(PAYLOADS[:1], "--json", python="")

    pythons = json.loads(ended.stdout)["pythons"]
    tried = [".".join(version.split(".")[:2]) for version in pythons["tried"]]
    assert ended.returncode == 0
    assert sorted([*tried, *pythons["missing"]]) == ["3.11", "3.12", "3.13"]
    assert "{}.{}".format(*sys.version_info) in tried


@pytest.mark.parametrize(
    ("line", "words", "complaint"),
    [
        ("{", [], "line 1: Expecting property name"),
        ("[]", [], "line 1: not a JSON object"),
        ('{"name": "a", "code": "x"}', [], "'expect' must be a string"),
        (
            '{"name": "a", "code": "x", "expect": "fine"}',
            [],
            "'expect' is 'fine'; it takes blocked",
        ),
        ("", ["--without", "moat"], "no layer moat; there are language, seccomp"),
        ("", ["--python", "/no/such/python"], "no Python here answers to /no/such/python"),
    ],
)
def test_bad_input_says_what_is_wrong(tmp_path, line, words, complaint):
    file = tmp_path / "payloads.jsonl"
    file.write_text(line)
    command = [sys.executable, "-m", "edged.commands", "sandbox", "try", str(file), *words]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert complaint in ended.stderr
