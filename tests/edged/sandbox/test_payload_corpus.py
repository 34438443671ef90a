"""The given corpus of programs, as far as the language layer alone decides it."""

import json
import os
from pathlib import Path

import pytest

from edged.sandbox.loader import load
from edged.sandbox.policy import compile_program
from edged.sandbox.results import encode

ROOT = Path(__file__).parents[3]
CORPUS = (
    Path(os.environ.get("LOOPAI_TEST_DATA", ROOT / "../shared/data")) / "sandbox/payloads.jsonl"
)
LINES = CORPUS.read_bytes().splitlines() if CORPUS.exists() else []
PAYLOADS = [json.loads(line) for line in LINES]

pytestmark = pytest.mark.skipif(
    not PAYLOADS,
    reason=f"no payload corpus at {CORPUS}: set LOOPAI_TEST_DATA to the given test data",
)


def chosen(*expected: str) -> list[object]:
    """Return the payloads whose `expect` is one of these, as parameters."""
    found = [
        pytest.param(payload["code"], id=payload["name"])
        for payload in PAYLOADS
        if payload["expect"] in expected
    ]
    return found or [pytest.param("", id="no corpus")]


@pytest.mark.parametrize("code", chosen("ok"))
def test_ordinary_program_answers_as_in_plain_python(code: str) -> None:
    request = {"text": "free hello world", "items": [1, 2]}
    plain: dict[str, object] = {"__name__": "program"}
    exec(code, plain)  # noqa: S102

    program = load(code)
    answers = [
        encode(program.run(json.loads(json.dumps(request))), max_bytes=100_000) for _ in range(2)
    ]

    expected = plain["run"](json.loads(json.dumps(request)))  # type: ignore[operator]
    assert answers == [json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()] * 2


@pytest.mark.parametrize("code", chosen("blocked"))
def test_hostile_program_is_refused_or_fails(code: str) -> None:
    answers: list[bytes] = []

    def run_twice() -> None:
        program = load(code)
        answers.extend(
            encode(program.run({"text": "free hello world"}), max_bytes=100_000) for _ in range(2)
        )

    with pytest.raises(Exception):  # noqa: B017, PT011 # a refusal, or any error of the program's
        run_twice()

    assert answers == []


@pytest.mark.parametrize(
    "code", chosen("timeout", "memory", "memory|timeout", "timeout|memory"), ids=None
)
def test_program_that_only_the_worker_stops_is_no_matter_of_the_policy(code: str) -> None:
    compile_program(code)
