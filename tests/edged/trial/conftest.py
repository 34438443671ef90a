"""The programs written for these tests, as payloads."""

import json
import platform
from pathlib import Path

import pytest

from edged.trial.interpreters import SUPPORTED, Interpreter, find, lend_restricted_python
from edged.trial.payloads import INPUT, Payload

PROGRAMS = Path(__file__).parent / "programs"


def read(file_name: str) -> list[Payload]:
    """Return the programs of a file, each under its line `### name | expect`."""
    parts = (PROGRAMS / file_name).read_text().split("\n### ")[1:]
    return [_payload(*part.split("\n", 1)) for part in parts]


def _payload(head: str, code: str) -> Payload:
    name, _, expect = head.partition(" | ")
    return Payload(
        name=name,
        category="own",
        code=code,
        expect=frozenset((expect or "ok").split("|")),
        input_json=json.dumps(INPUT).encode(),
    )


@pytest.fixture(scope="session")
def lent(tmp_path_factory) -> tuple[str, ...]:
    return lend_restricted_python(tmp_path_factory.mktemp("lent"))


@pytest.fixture(scope="session")
def pythons(lent) -> dict[str, Interpreter]:
    """Every supported Python of this machine, by its version."""
    return {".".join(one.version.split(".")[:2]): one for one in find([], lent).usable}


@pytest.fixture(params=SUPPORTED)
def each_python(request, pythons) -> Interpreter:
    if request.param not in pythons:
        pytest.skip(f"no Python {request.param} here")
    return pythons[request.param]


@pytest.fixture(scope="session")
def attacks() -> list[Payload]:
    return read("attacks.txt")


@pytest.fixture(scope="session")
def machine() -> list[Payload]:
    """Those with a number of a system call in them are for x86_64."""
    numbers_hold = platform.machine() == "x86_64"
    return [each for each in read("machine.txt") if numbers_hold or ".syscall(" not in each.code]


@pytest.fixture(scope="session")
def ordinary() -> list[Payload]:
    return read("ordinary.txt")
