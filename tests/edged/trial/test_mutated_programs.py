"""A few of the programs that nobody wrote; scripts/chaos mutants runs thousands."""

import pytest

from scripts.support.chaos.mutants import judge_all
from scripts.support.mutation import mutants

PROGRAMS = 200


@pytest.mark.timeout(120)
async def test_no_mutant_ends_its_worker_without_an_explanation():
    report = await judge_all(mutants(PROGRAMS, seed=3), say=lambda _text: None)

    assert report["judged"] == PROGRAMS
    assert report["unexplained"] == []
    assert report["zygote_restarts"] == 0
    assert {"refused", "error", "success"} <= set(report["endings"])


def test_the_same_seed_makes_the_same_mutants():
    assert list(mutants(20, seed=5)) == list(mutants(20, seed=5)) != list(mutants(20, seed=6))
