"""The attacks and the ordinary programs, on the other interpreter, in real jailed workers."""

import sys

import pytest

from edged.sandbox.backend import Backend
from edged.trial.interpreters import Interpreter, lend_restricted_python
from edged.trial.trial import Trial, try_all

HARMLESS = {
    "base exception through a tuple of errors",  # a deadline is nothing that it could catch
    "type of a type",  # is a name there and has no members
    "surrogates in the result",  # the parser has replaced it
}
"""What must not go on Python and gains nothing on monty."""

pytestmark = pytest.mark.timeout(120)


async def trial_on_monty(payloads, folder) -> Trial:
    return await try_all(
        payloads,
        Interpreter(path=sys.executable, version="{}.{}".format(*sys.version_info)),
        lend_restricted_python(folder),
        without=frozenset(),
        time_limit_ms=500.0,
        backend=Backend.MONTY,
        say=lambda _judgement: None,
    )


async def test_no_attack_gets_through(attacks, machine, tmp_path):
    trial = await trial_on_monty([*attacks, *machine], tmp_path)

    endings = {judgement.payload.name: judgement.ending for judgement in trial.judgements}
    through = {name for name, ending in endings.items() if ending.verdict == "pwned"}
    assert through <= HARMLESS
    assert [name for name, ending in endings.items() if ending.verdict == "failed"] == []
    assert [name for name, ending in endings.items() if ending.layer == "seccomp"] == []


async def test_an_ordinary_program_answers_or_is_refused_and_ends_nothing(ordinary, tmp_path):
    trial = await trial_on_monty(ordinary, tmp_path)

    endings = [judgement.ending for judgement in trial.judgements]
    assert {ending.verdict for ending in endings} == {"ok", "blocked"}
    assert {ending.layer for ending in endings} <= {"none", "language"}
    assert sum(ending.verdict == "ok" for ending in endings) >= 15
