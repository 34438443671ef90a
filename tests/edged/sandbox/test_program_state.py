"""No call may see what another did, whether the module's body is shared or runs again."""

from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from edged.sandbox.loader import load


def programs_in(file_name: str) -> list[ParameterSet]:
    """Return the programs of a file, each under its line `### name`."""
    parts = (Path(__file__).parent / "programs" / file_name).read_text().split("### ")[1:]
    named = (part.partition("\n") for part in parts)
    return [pytest.param(source, id=name) for name, _, source in named]


@pytest.mark.parametrize("source", programs_in("counters.txt"))
def test_every_call_starts_from_what_the_module_bound(source: str) -> None:
    program = load(source)

    answers = []
    for _ in range(3):
        try:
            answers.append(program.run({}))
        except TypeError as refused:
            answers.append(str(refused))

    assert answers == [answers[0]] * 3
    assert answers[0] == 1 or "outlives the call" in str(answers[0])


def test_random_starts_every_call_from_the_same_state() -> None:
    program = load("import random\ndef run(x):\n    return [random.random(), random.gauss(0, 1)]\n")

    assert program.run({}) == program.run({})


def test_random_starts_from_the_seed_that_the_module_set() -> None:
    program = load(
        "import random\nrandom.seed(42)\ndef run(x):\n    return random.randint(1, 100)\n"
    )

    assert [program.run({}), program.run({})] == [82, 82]


def test_two_programs_do_not_share_random() -> None:
    source = "import random\ndef run(x):\n    random.seed(x)\n    return random.random()\n"
    one, other = load(source), load("import random\ndef run(x):\n    return random.random()\n")
    before = other.run(1)

    one.run(99)

    assert other.run(1) == before


def test_pattern_cache_hands_out_no_object_of_another_call() -> None:
    program = load(
        "import re\nfrom enum import Enum\n"
        "def run(x):\n"
        "    class S(str, Enum):\n        A = 'a'\n"
        "    S.A.note = x\n"
        "    return re.compile(S.A).pattern.note\n"
    )

    with pytest.raises(TypeError):
        program.run(1)


@pytest.mark.parametrize("source", programs_in("shared.txt"))
def test_ordinary_program_runs_its_module_body_once(source: str) -> None:
    program = load(source)

    answers = [program.run("a b"), program.run("a b")]

    plain: dict[str, object] = {"__name__": "program"}
    exec(source, plain)  # noqa: S102
    assert program.is_shared
    assert answers == [plain["run"]("a b")] * 2  # type: ignore[operator]


def test_program_that_ran_in_the_module_body_only_is_shared_with_what_it_built() -> None:
    program = load(
        "W = {}\n"
        "for line in 'a=1;b=2'.split(';'):\n"
        "    name, value = line.split('=')\n"
        "    W[name] = int(value)\n"
        "def run(x):\n"
        "    return W.get(x, 0)\n"
    )

    assert program.is_shared
    assert [program.run("a"), program.run("c")] == [1, 0]


def test_program_that_changes_a_class_runs_its_module_body_for_each_call() -> None:
    program = load(
        "class Token:\n"
        "    total = 0\n"
        "    def __init__(self): Token.total += 1\n"
        "def run(x):\n"
        "    return [Token() and Token.total for _ in range(x)]\n"
    )

    assert not program.is_shared
    assert [program.run(2), program.run(2)] == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    "function",
    [
        "def mark(cls):\n    cls.kind = 1\n    return cls\n@mark\nclass A: pass\n",
        "def make():\n    class A: pass\n    A.kind = 1\n    return A.kind\n",
        "class A:\n    def set(self): self.kind = 1\n",
        "from string import Template\nT = Template('a $b')\n",
    ],
)
def test_program_that_changes_no_class_of_the_module_in_a_call_is_shared(function: str) -> None:
    assert load(f"{function}def run(x):\n    return 1\n").is_shared
