"""Attacks and ordinary programs beside the given corpus, each in a real jailed worker."""

import contextlib
import io
import json
import sys

import pytest

from edged.sandbox.layers import LAYERS
from edged.sandbox.loader import load
from edged.sandbox.policy import ProgramRefused, compile_program
from edged.sandbox.results import encode
from edged.trial.interpreters import Interpreter, lend_restricted_python
from edged.trial.judging import Judgement
from edged.trial.payloads import INPUT
from edged.trial.trial import try_all

pytestmark = pytest.mark.timeout(120)

HERE = Interpreter(path=sys.executable, version="{}.{}".format(*sys.version_info))


async def trial_of(payloads, folder, *, python=HERE, without=(), time_limit_ms=1_000.0):
    return await try_all(
        payloads,
        python,
        lend_restricted_python(folder),
        without=frozenset(without),
        time_limit_ms=time_limit_ms,
        say=ignore,
    )


def ignore(_judgement: Judgement) -> None:
    pass


def differing(trial) -> list[tuple[str, str, str]]:
    return [
        (judgement.payload.name, judgement.ending.verdict, judgement.ending.detail)
        for judgement in trial.differing
    ]


async def test_every_attack_is_stopped_on_every_python(attacks, each_python, tmp_path):
    trial = await trial_of(attacks, tmp_path, python=each_python)

    assert len(attacks) >= 60
    assert differing(trial) == []


async def test_every_ordinary_program_runs_on_every_python(ordinary, each_python, tmp_path):
    trial = await trial_of(ordinary, tmp_path, python=each_python, time_limit_ms=5_000.0)

    assert len(ordinary) >= 60
    assert differing(trial) == []


async def test_without_the_language_no_attack_outlives_its_deadline_or_the_pool(attacks, tmp_path):
    trial = await trial_of(attacks, tmp_path, without=["language"], time_limit_ms=300.0)

    overrun = [judgement for judgement in trial.judgements if judgement.ending.verdict == "failed"]
    assert overrun == []
    assert trial.barriers["seccomp"] is True


async def test_without_the_language_the_kernel_stops_what_reaches_for_the_machine(
    machine, tmp_path
):
    trial = await trial_of(machine, tmp_path, without=["language"])

    assert len(machine) >= 60
    assert differing(trial) == []


async def test_a_trial_may_leave_every_layer_out_and_says_so(ordinary, tmp_path):
    trial = await trial_of(ordinary[:3], tmp_path, without=LAYERS)

    assert differing(trial) == []
    assert not any(trial.barriers[name] for name in ("seccomp", "landlock", "rlimits"))


def test_every_ordinary_program_answers_as_in_plain_python(ordinary):
    for payload in ordinary:
        plain: dict[str, object] = {"__name__": "program"}
        with contextlib.redirect_stdout(io.StringIO()):
            exec(payload.code, plain)  # noqa: S102
            expected = plain["run"](json.loads(json.dumps(INPUT)))
        program = load(payload.code)

        answers = [
            encode(program.run(json.loads(json.dumps(INPUT))), max_bytes=100_000) for _ in range(2)
        ]

        text = json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()
        assert answers == [text] * 2, payload.name


def test_every_refusal_says_where_what_and_what_to_write_instead(attacks):
    refused = 0
    for payload in attacks:
        try:
            compile_program(payload.code)
        except ProgramRefused as refusals:
            refused += 1
            for refusal in refusals.refusals:
                assert refusal.line >= 1, payload.name
                assert refusal.column >= 1, payload.name
                assert refusal.what, payload.name
                assert refusal.instead, (payload.name, refusal.what)

    assert refused >= 40
