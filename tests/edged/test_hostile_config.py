"""deployment.yaml files that nobody meant well: each gets one clear line, and changes nothing."""

import os
import subprocess
import sys

import pytest

from edged.config import find_data_dir, load
from edged.errors import ConfigInvalid

BOMB = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(30))
HOSTILE = {
    "unknown key": ("execution: {worker_cuont: 4}", "execution.worker_cuont: unknown key; is"),
    "unknown section": ("jail: {barriers: none}", "jail: unknown key"),
    "wrong type": ("execution: {worker_count: many}", "execution.worker_count: Input should be"),
    "text for a section": ("execution: fast", "execution: must be a mapping of keys"),
    "unset variable": ("cloud: {api_url: '${NOT_SET_HERE}'}", "has no NOT_SET_HERE"),
    "yaml bomb": (BOMB, "line 2, column 10: aliases"),
    "merged bomb": ("a: &a {x: 1}\nb: {<<: *a}", "aliases"),
    "deep nesting": ("a: " + "[" * 50_000, "nested deeper than 20 levels"),
    "deep mappings": ("a: " + "{a: " * 3_000, "nested deeper than 20 levels"),
    "endless number": (
        f"execution: {{memory_mb: {'9' * 6_000}}}",
        "line 1, column 24: this is no int",
    ),
    "infinite number": ("execution: {timeout_ms: .inf}", "execution.timeout_ms:"),
    "no number": ("execution: {timeout_ms: .nan}", "execution.timeout_ms:"),
    "endless size": (
        "storage: {max_size_gb: .inf}",
        "storage.max_size_gb: Input should be a finite",
    ),
    "truth for a number": (
        "retention: {executions: {keep_days: yes}}",
        "retention.executions: keep_days must be a number",
    ),
    "one of several kinds": (
        "sampling: {strategy: [random, greedy]}",
        "sampling.strategy: Input should be 'random', 'uncertainty', 'stratified', 'temporal' or",
    ),
    "number for a key": ("1: 2", "line 1, column 1: a key must be text"),
    "list for a key": ("? [a, b]\n: 3", "a key must be text"),
    "key that breaks the line": ('"a\\nedged: fine": 1', "a edged: fine: unknown key"),
    "key twice": ("runtime: {}\nruntime: {mode: central}", "line 2, column 1: the key runtime"),
    "object": ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    "no truth": ("runtime: {standby: !!bool s3cret}", "line 1, column 20: this is no bool"),
    "no number by tag": ("cloud: {api_key: !!int s3cret}", "line 1, column 18: this is no int"),
    "no digit": ("execution: {memory_mb: !!int ''}", "line 1, column 24: this is no int"),
    "no moment": ("runtime: {name: !!timestamp s3cret}", "column 17: this is no timestamp"),
    "two documents": ("runtime: {}\n---\nruntime: {}", "another document"),
    "terminal codes": ('"\\e[2J": 1', "[2J: unknown key"),
    "null byte": ('a: "\0"', "#x0000"),
    "null byte by escape": (r'storage: {data_dir: "a\0"}', "column 21: a character that no text"),
    "half a character": (r'runtime: {name: "\ud800"}', "column 17: a character that no text"),
    "tab": ("runtime:\n\tmode: edge", "line 2, column 1"),
    "cut off": ('runtime: {name: "x', "line 1"),
    "list": ("- runtime", "must be a mapping of sections"),
    "too large": ("#" * 300_000, "larger than 262144 bytes"),
    "unknown oracle": ("validation: {spam: {oracle: s3cret}}", "oracle must be one of"),
    "no oracle": ("validation: {spam: {}}", "validation.spam: oracle is missing"),
    "unknown judge": (
        "validation: {spam: {oracle: outcome, comparison: {judge: {by: s3cret}}}}",
        "validation.spam.comparison.judge: by must be one of 'http',",
    ),
    "no pattern": (
        "privacy: {patterns: {badge: 's3('}}",
        "privacy.patterns: badge: missing ): s3(",
    ),
    "oracle without url": ("validation: {spam: {oracle: http}}", "validation.spam.url: is missing"),
    "key written out": ("cloud: {api_key: s3cret}", "never the key"),
    "key in broken text": ('cloud: {api_key: "s3cret', "line 1"),
    "password in a url": (
        "validation: {spam: {oracle: http, url: 'http://me:s3cret@host/'}}",
        "must look like http://host:port/path",
    ),
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("LOOPAI_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_gets_one_clear_line(tmp_path, kind):
    text, words = HOSTILE[kind]
    path = tmp_path / "deployment.yaml"
    path.write_text(text)

    with pytest.raises(ConfigInvalid) as refused:
        load(path, {}, None)

    line = str(refused.value)
    assert line.startswith(f"{path}: ")
    assert words in line
    assert line.isprintable()
    assert len(line) < len(str(path)) + 320
    assert "s3cret" not in line


@pytest.mark.parametrize(
    "kind",
    [*("unknown key", "wrong type", "unset variable", "yaml bomb"), *("no truth", "no pattern")],
)
def test_serve_prints_that_line_alone(tmp_path, kind):
    text, words = HOSTILE[kind]
    path = tmp_path / "deployment.yaml"
    path.write_text(text)
    command = [sys.executable, "-m", "edged.commands", "serve", "--config", str(path)]

    refused = subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)

    [line] = refused.stderr.splitlines()
    assert refused.returncode == 2
    assert line.startswith(f"edged: {path}: ")
    assert words in line
    assert refused.stdout == ""
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigInvalid, match="is not a file"):
            load(path, {}, None)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "deployment.yaml").write_bytes(b"\xff\xfe\0")

    with pytest.raises(ConfigInvalid, match="is not UTF-8"):
        load(tmp_path / "deployment.yaml", {}, None)


def test_a_name_that_looks_like_a_date_is_a_name(tmp_path):
    (tmp_path / "deployment.yaml").write_text("runtime: {name: 2026-99-99}")

    assert load(tmp_path / "deployment.yaml", {}, None).runtime.name == "2026-99-99"


def test_the_data_dir_is_found_without_the_rest(tmp_path, monkeypatch):
    path = tmp_path / "deployment.yaml"
    path.write_text("storage: {data_dir: here}\ncloud: {api_key: '${NOT_SET}'}\nnonsense: 1")

    assert find_data_dir(path, None) == tmp_path / "here"
    assert find_data_dir(path, tmp_path) == tmp_path
    assert str(find_data_dir(None, None)) == "loopai-data"
    monkeypatch.setenv("LOOPAI_STORAGE__DATA_DIR", "/elsewhere")
    assert str(find_data_dir(path, None)) == "/elsewhere"
