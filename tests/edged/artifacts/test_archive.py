import io
import json
import subprocess
import sys
import zipfile

import pytest

from edged.artifacts.archive import (
    SelfTest,
    digest_of,
    open_folder,
    pack,
    read,
    unpack,
)
from edged.errors import ArtifactInvalid

CONFIDENT = (
    'def run(input_data):\n    return {"output": {"ü": input_data["n"] / 4}, "confidence": 0.5}\n'
)


def repack(data: bytes, **changes: bytes | None) -> bytes:
    """Return the archive with entries replaced, added or (None) removed; `__` stands for `.`."""
    renamed = {name.replace("__", "."): content for name, content in changes.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        entries = {name: old.read(name) for name in old.namelist()} | renamed
        for name, content in entries.items():
            if content is not None:
                new.writestr(name, content)
    return buffer.getvalue()


def run_alone(zip_path, stdin: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", str(zip_path), *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, env={}, encoding="utf-8"
    )


def test_the_same_artifact_always_has_the_same_digest(make_artifact):
    artifact = make_artifact(self_tests=(SelfTest(input={"text": "a"}, output="A"),))

    assert digest_of(pack(artifact)) == digest_of(pack(artifact))
    assert read(pack(artifact)) == artifact


def test_an_archive_holds_the_specified_files(make_artifact):
    names = zipfile.ZipFile(io.BytesIO(pack(make_artifact()))).namelist()

    assert names == [
        "Dockerfile",
        "README.md",
        "__main__.py",
        "deployment.yaml",
        "examples.jsonl",
        "manifest.json",
        "program.py",
        "requirements.txt",
    ]


def test_a_zip_answers_json_lines_with_nothing_installed(make_artifact, tmp_path):
    path = tmp_path / "shout-v1.zip"
    path.write_bytes(pack(make_artifact()))

    done = run_alone(path, '{"text": "grüße"}\n\n{"text": "b", "more": 1}\n')

    assert done.stdout == '"GRÜSSE"\n"B"\n'
    assert done.returncode == 0


def test_a_zip_answers_outputs_and_on_request_confidence(make_artifact, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(pack(make_artifact(CONFIDENT, returns_confidence=True)))

    plain = run_alone(path, '{"n": 1}\n')
    confident = run_alone(path, '{"n": 1}\n', "--confidence")

    assert plain.stdout == '{"ü":0.25}\n'
    assert confident.stdout == '{"output":{"ü":0.25},"confidence":0.5}\n'


def test_a_line_that_fails_is_answered_and_told_by_the_exit_code(make_artifact, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(pack(make_artifact()))

    done = run_alone(path, 'nonsense\n{"no": 1}\n{"text": "a"}\n')

    errors = [json.loads(line) for line in done.stdout.splitlines()]
    assert errors[0]["error"]["type"] == "JSONDecodeError"
    assert errors[1] == {"error": {"type": "KeyError", "message": "'text'"}}
    assert errors[2] == "A"
    assert done.returncode == 1


@pytest.mark.parametrize(("expected", "code"), [("A\u2028B", 0), ("wrong", 1)])
def test_a_zip_tests_itself(make_artifact, tmp_path, expected, code):
    path = tmp_path / "a.zip"
    tests = (SelfTest(input={"text": "a\u2028b"}, output=expected),)
    path.write_bytes(pack(make_artifact(self_tests=tests)))

    done = run_alone(path, "", "--self-test")

    assert done.returncode == code


def test_an_unpacked_artifact_runs_alone_and_opens_again(make_artifact, tmp_path):
    artifact = make_artifact()
    folder = tmp_path / "v1"
    folder.mkdir()

    unpack(pack(artifact), folder)

    assert (folder / "metadata.json").exists()
    assert open_folder(folder) == artifact


def test_a_folder_unzipped_by_hand_runs_and_opens(make_artifact, tmp_path):
    artifact = make_artifact()
    zipfile.ZipFile(io.BytesIO(pack(artifact))).extractall(tmp_path)

    assert open_folder(tmp_path) == artifact
    assert run_alone(tmp_path, '{"text":"a"}').stdout == '"A"\n'


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"program__py": None}, "program.py is missing"),
        ({"../evil": b""}, "unexpected entry '../evil'"),
        ({"manifest__json": b"{}"}, "manifest.json: id: Field required"),
        ({"examples__jsonl": b"{}\n"}, "examples.jsonl, line 1"),
        ({"program__py": b"\xff"}, "not UTF-8"),
    ],
)
def test_an_archive_that_does_not_hold_together_is_refused(make_artifact, changes, reason):
    data = repack(pack(make_artifact()), **changes)

    with pytest.raises(ArtifactInvalid, match=reason.replace(".", r"\.")):
        read(data)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(make_artifact):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("program.py", b"#" * 40_000_000)
        bomb.writestr("manifest.json", b"{}")
        bomb.writestr("examples.jsonl", b"")

    with pytest.raises(ArtifactInvalid, match="unpacks to more than"):
        read(buffer.getvalue())


def test_what_is_no_zip_is_refused():
    with pytest.raises(ArtifactInvalid, match="not a readable ZIP"):
        read(b"PK nonsense")
