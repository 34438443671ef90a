"""What programs may use gives what plain Python gives, and every offered member is there."""

import json
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from edged.sandbox.facades import IMPORTABLE
from edged.sandbox.loader import load
from edged.sandbox.results import encode

REQUEST = {
    "text": "Free FREE hello, world! call +1 555 0100 or mail a@b.org",
    "items": [3, 1, 2],
    "n": 7,
}


def programs_in(file_name: str) -> list[ParameterSet]:
    """Return the programs of a file, each under its line `### name`."""
    parts = (Path(__file__).parent / "programs" / file_name).read_text().split("### ")[1:]
    named = (part.partition("\n") for part in parts)
    return [pytest.param(source, id=name) for name, _, source in named]


def answer_of_plain_python(source: str) -> Any:
    module: dict[str, Any] = {"__name__": "program"}
    exec(source, module)  # noqa: S102
    return module["run"](json.loads(json.dumps(REQUEST)))


@pytest.mark.parametrize("source", programs_in("ordinary.txt"))
def test_program_answers_as_in_plain_python(source: str) -> None:
    expected = json.dumps(answer_of_plain_python(source), ensure_ascii=False, separators=(",", ":"))

    program = load(source)
    answers = [
        encode(program.run(json.loads(json.dumps(REQUEST))), max_bytes=100_000) for _ in range(2)
    ]

    assert answers == [expected.encode()] * 2


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in IMPORTABLE.items() for name in sorted(names)],
)
def test_offered_member_can_be_imported(module: str, name: str) -> None:
    program = load(
        f"from {module} import {name} as member\ndef run(x):\n    return callable(member)\n"
    )

    assert program.run({}) in (True, False)


@pytest.mark.parametrize("module", sorted(IMPORTABLE))
def test_module_can_be_imported_and_not_changed(module: str) -> None:
    program = load(f"import {module} as m\ndef run(x):\n    m.anything = 1\n")

    with pytest.raises(TypeError):
        program.run({})
