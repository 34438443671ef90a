import random
from dataclasses import replace
from math import exp, isclose
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.decisions.discordance import DiscordanceTest, PairCounts
from edged.decisions.evidence import Verdict

NUMBERS = st.integers(0, 60)
AGREE, RIGHT, WRONG, NEITHER = (
    PairCounts(agreed=1),
    PairCounts(disagreed=1, candidate_right=1),
    PairCounts(disagreed=1, stable_right=1),
    PairCounts(disagreed=1, neither_right=1),
)


def counts(agreed, candidate_right, stable_right, neither_right=0, unlabelled=0):
    return PairCounts(
        agreed=agreed,
        disagreed=candidate_right + stable_right + neither_right + unlabelled,
        candidate_right=candidate_right,
        stable_right=stable_right,
        neither_right=neither_right,
    )


def run(noise, shares, test, inputs):
    """Feed inputs until a verdict; return it and the counts. shares: right, wrong, neither."""
    seen = PairCounts()
    for _ in range(inputs):
        pair = noise.choices([RIGHT, WRONG, NEITHER, AGREE], [*shares, 1 - sum(shares)], k=1)[0]
        seen += pair
        if pair in {RIGHT, WRONG} and (evidence := test.judge(seen)).verdict != "INCONCLUSIVE":
            return evidence.verdict, seen
    return Verdict.INCONCLUSIVE, seen


# As two programs for TREC behaved: failures .262 and .160.
def test_a_better_program_for_trec_is_found_with_some_ten_labels():
    noise, test = random.Random(5), DiscordanceTest()
    runs = [run(noise, (0.108, 0.006, 0.026), test, 2000) for _ in range(20)]

    assert {verdict for verdict, _ in runs} == {Verdict.PASS}
    assert median(seen.labels for _, seen in runs) <= 16
    assert median(seen.pairs for _, seen in runs) <= 438


def test_a_worse_program_is_found_as_soon():
    noise, test = random.Random(6), DiscordanceTest()
    runs = [run(noise, (0.006, 0.108, 0.026), test, 2000) for _ in range(20)]

    assert {verdict for verdict, _ in runs} == {Verdict.FAIL}
    assert median(seen.labels for _, seen in runs) <= 16


def test_two_equal_programs_rarely_get_a_verdict():
    noise, test = random.Random(7), DiscordanceTest()
    runs = [run(noise, (0.1, 0.1, 0.02), test, 200) for _ in range(30)]

    assert sum(verdict is not Verdict.INCONCLUSIVE for verdict, _ in runs) <= 3


@settings(max_examples=50, deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS)
def test_swapping_the_programs_swaps_the_verdict(agreed, right, wrong):
    one = DiscordanceTest().judge(counts(agreed, right, wrong))
    other = DiscordanceTest().judge(counts(agreed, wrong, right))

    assert isclose(one.log_e_pass, other.log_e_fail)
    assert isclose(one.estimate, -other.estimate)


@settings(max_examples=50, deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS, st.integers(0, 1000))
def test_without_a_margin_pairs_that_agree_move_nothing(agreed, right, wrong, more):
    before = DiscordanceTest().judge(counts(agreed + 1, right, wrong))
    after = DiscordanceTest().judge(counts(agreed + 1 + more, right, wrong))

    assert isclose(before.log_e_pass, after.log_e_pass)


# Where the truth is just at the margin, the next pair changes nothing on average or loses.
@settings(max_examples=50, deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS, st.floats(0, 0.3), st.floats(0, 0.2))
def test_at_the_margin_the_stake_does_not_grow(agreed, right, wrong, margin, both_ways):
    test, now = DiscordanceTest(margin=margin), counts(agreed + 1, right, wrong)
    chances = {RIGHT: both_ways, WRONG: both_ways + margin, AGREE: 1 - 2 * both_ways - margin}

    start = test.judge(now).log_e_pass
    mean = sum(
        chance * exp(test.judge(now + pair).log_e_pass - start) for pair, chance in chances.items()
    )

    assert mean <= 1 + 1e-9


def test_a_candidate_as_good_passes_within_a_margin_once_enough_pairs_agree():
    test = DiscordanceTest(margin=0.02)

    assert test.judge(counts(100, 1, 1)).verdict is Verdict.INCONCLUSIVE
    assert test.judge(counts(600, 4, 4)).verdict is Verdict.PASS
    assert DiscordanceTest().judge(counts(600, 4, 4)).verdict is Verdict.INCONCLUSIVE


def test_worse_within_the_margin_is_no_failure_and_beyond_it_is():
    test = DiscordanceTest(margin=0.05)

    assert test.judge(counts(970, 0, 20)).verdict is not Verdict.FAIL
    assert test.judge(counts(800, 0, 200)).verdict is Verdict.FAIL


@settings(max_examples=50, deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS, st.integers(1, 40))
def test_labels_still_out_never_hasten_a_verdict_within_a_margin(agreed, right, wrong, out):
    test, now = DiscordanceTest(margin=0.05), counts(agreed, right, wrong, unlabelled=out)
    waiting = test.judge(now)

    for told in (
        replace(now, candidate_right=right + out),
        replace(now, stable_right=wrong + out),
        replace(now, neither_right=out),
    ):
        evidence = test.judge(told)
        assert waiting.log_e_pass <= evidence.log_e_pass + 1e-9
        assert waiting.log_e_fail <= evidence.log_e_fail + 1e-9


def test_the_evidence_is_for_people_too():
    evidence = DiscordanceTest().judge(counts(360, 12, 1, neither_right=3))

    assert evidence.words == (
        "candidate alone right in 12 of 16 labelled disagreements, stable alone in 1; "
        "376 inputs compared"
    )
    assert evidence.low < evidence.estimate < evidence.high < 0


def test_before_the_first_pair_nothing_is_shown():
    evidence = DiscordanceTest().judge(PairCounts())

    assert (evidence.verdict, evidence.words) == (Verdict.INCONCLUSIVE, "no shadow runs yet")


@pytest.mark.parametrize("settings", [{"margin": -0.1}, {"margin": 1}, {"alpha": 1}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValueError, match="margin is at least 0"):
        DiscordanceTest(**settings)
