"""Attacks on the language layer alone: each must be refused or raise, none may get through."""

from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from edged.sandbox.loader import load
from edged.sandbox.policy import ProgramRefused
from edged.sandbox.results import ResultRefused, encode

# ZeroDivisionError is how a program says that what it tried had no effect.
RUN_TIME_STOPS = (TypeError, AttributeError, NameError, ZeroDivisionError)


def programs_in(file_name: str) -> list[ParameterSet]:
    """Return the programs of a file, each under its line `### name`."""
    parts = (Path(__file__).parent / "programs" / file_name).read_text().split("### ")[1:]
    named = (part.partition("\n") for part in parts)
    return [pytest.param(source, id=name) for name, _, source in named]


@pytest.mark.parametrize("source", programs_in("escapes.txt"))
def test_escape_is_refused_or_fails(source: str) -> None:
    stops = (ProgramRefused, ResultRefused, *RUN_TIME_STOPS)

    with pytest.raises(stops):
        encode(load(source).run({"text": "x"}), max_bytes=100_000)
