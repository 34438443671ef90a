"""docs/programs.md is held to the code, and each entry of it to plain Python."""

import re
from pathlib import Path

import pytest

from edged.sandbox.facades import IMPORTABLE
from edged.sandbox.given import ERRORS, GIVEN_NAMES
from edged.sandbox.loader import load
from edged.sandbox.names import METHODS
from edged.sandbox.policy import ProgramRefused

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs" / "programs.md").read_text()
BUILTINS = GIVEN_NAMES - ERRORS.keys()
SETTING = """
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum, auto
from functools import cached_property, total_ordering
from typing import Generic, NamedTuple, TypedDict, TypeVar
T = TypeVar("T")
class Plain: pass
class Base:
    def who(self): return "base"
class Child(Base):
    def who(self): return super().who() + "!"
@dataclass
class Row:
    a: int = 0
class Color(Enum):
    RED = "r"
class Level(IntEnum):
    HIGH = 2
class Word(StrEnum):
    HAM = auto()
@total_ordering
class Ordered:
    def __init__(self, n): self.n = n
    def __eq__(self, o): return self.n == o.n
    def __lt__(self, o): return self.n < o.n
class Cached:
    @cached_property
    def twice(self): return 2
class Grid:
    def __matmul__(self, o): return ("grid", o)
class Named(NamedTuple):
    x: int
class Typed(TypedDict):
    a: int
class Boxed(Generic[T]):
    def __init__(self, v): self.v = v
def fresh():
    class Fresh:
        def __lt__(self, o): return True
    return Fresh
def helper(): return 1
def other(): return 2
def annotated(*types): return len(types)
"""


def entries() -> dict[str, list[str]]:
    """The expressions of each module."""
    text = (Path(__file__).parent / "programs" / "entries.txt").read_text()
    parts = (part.partition("\n") for part in text.split("\n### ")[1:])
    return {name: body.strip().splitlines() for name, _, body in parts}


ENTRIES = entries()
CASES = [
    pytest.param(module, line, id=f"{module}-{number}")
    for module, lines in ENTRIES.items()
    for number, line in enumerate(lines)
]


def names_in(line: str) -> set[str]:
    return set(re.findall(r"\bm\.(\w+)", line))


@pytest.mark.parametrize(("module", "line"), CASES)
def test_each_entry_gives_what_plain_python_gives(module, line):
    head = "" if module == "builtins" else f"import {module} as m\n"
    source = f"{head}{SETTING}\ndef run(x):\n    return repr(({line}))\n"
    plain: dict[str, object] = {"__name__": "program"}
    exec(source, plain)  # noqa: S102

    program = load(source)

    assert program.run({}) == plain["run"]({})  # type: ignore[operator]


@pytest.mark.parametrize("module", sorted(IMPORTABLE))
def test_every_member_of_a_module_has_an_expression(module):
    tried = set().union(*map(names_in, ENTRIES[module]))

    assert set(IMPORTABLE[module]) - tried - {"RegexFlag"} == set()


def test_every_builtin_has_an_expression():
    words = set(re.findall(r"\w+", "\n".join([*ENTRIES["builtins"], SETTING])))

    assert BUILTINS - words == set()


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_every_error_class_can_be_named_and_caught(name):
    program = load(
        f"class E({name}): pass\n"
        "def run(x):\n"
        f"    return [issubclass({name}, Exception), isinstance(E.__name__, str)]\n"
    )

    assert program.run({}) == [True, True]


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def words_of(text: str) -> set[str]:
    return {word for span in re.findall(r"`([^`]+)`", text) for word in span.split()}


def test_the_documented_builtins_are_those_that_programs_have():
    assert words_of(section("Builtins").split("\n\n")[0]) == BUILTINS


def test_the_documented_modules_and_members_are_those_that_programs_can_import():
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section("Modules"), re.MULTILINE)

    assert {module: words_of(members) for module, members in rows} == {
        module: set(members) for module, members in IMPORTABLE.items()
    }


def test_the_documented_magic_methods_are_those_that_classes_may_define():
    assert words_of(section("Magic methods").split("\n\n")[0]) == METHODS


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", section("Syntax"), re.DOTALL)


@pytest.mark.parametrize("snippet", snippets())
def test_every_documented_construct_runs_as_in_plain_python(snippet):
    source = f"{snippet}\ndef run(x):\n    return repr(result(x))\n"
    plain: dict[str, object] = {"__name__": "program"}
    exec(source, plain)  # noqa: S102

    assert load(source).run({"n": 3}) == plain["run"]({"n": 3})  # type: ignore[operator]


def refused() -> list[tuple[str, str]]:
    return re.findall(r"^\| `(.+?)` \| (.+) \|$", section("What is refused"), re.MULTILINE)


@pytest.mark.parametrize(("code", "instead"), refused())
def test_every_documented_refusal_gives_the_documented_advice(code, instead):
    lines = code.replace("\\n", "\n    ")
    with pytest.raises(ProgramRefused) as raised:
        load(f"def run(x):\n    {lines}\n")

    assert instead.replace("`", "") in str(raised.value)
