import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decisions.chances import (
    quota_for,
    steepness_for,
    stratified_chance,
    temporal_chance,
    uncertainty_chance,
)

CONFIDENCES = st.one_of(st.none(), st.floats(0, 1))
BINS = st.lists(st.integers(0, 10_000), min_size=10, max_size=10)
STRATA = st.lists(st.integers(1, 10_000), min_size=1, max_size=65)
RATES = st.floats(0.001, 1)


@given(CONFIDENCES, st.floats(0, 100))
def test_more_doubt_is_never_drawn_less(confidence, steepness):
    chance = uncertainty_chance(confidence, steepness)

    assert 0 <= chance <= uncertainty_chance(0.0, steepness) <= 1


@given(BINS, st.floats(0.001, 0.2))
def test_the_steepness_draws_the_rate_of_the_past(bins, rate):
    steepness = steepness_for(bins, rate=rate)

    expected = sum(n * uncertainty_chance((i + 0.5) / 10, steepness) for i, n in enumerate(bins))
    assert expected == pytest.approx(rate * sum(bins), rel=1e-4)


def test_without_a_past_no_channel_hunts():
    assert steepness_for([0] * 10, rate=0.05) == 0.0
    assert steepness_for([5] * 10, rate=0.0) == 0.0
    assert quota_for([], rate=0.05) == 0.0
    assert stratified_chance(0, 0.0) == 0.0


@given(STRATA, RATES)
def test_the_quota_draws_the_rate_of_the_past(counts, rate):
    quota = quota_for(counts, rate=rate)

    expected = sum(count * stratified_chance(count, quota) for count in counts)
    assert expected == pytest.approx(rate * sum(counts), rel=1e-6)


@given(STRATA, RATES, st.integers(0, 20_000), st.integers(0, 20_000))
def test_a_rarer_stratum_is_never_drawn_less(counts, rate, one, other):
    quota = quota_for(counts, rate=rate)

    rare, frequent = sorted((one, other))
    assert 0 <= stratified_chance(frequent, quota) <= stratified_chance(rare, quota) <= 1


def test_strata_share_alike_and_small_ones_are_drawn_whole():
    quota = quota_for([900, 95, 5], rate=0.1)

    drawn = [count * stratified_chance(count, quota) for count in (900, 95, 5)]
    assert drawn == pytest.approx([47.5, 47.5, 5])


@given(st.floats(-1e6, 1e9), st.floats(0, 1e9), RATES, st.floats(1, 1e6))
def test_a_version_is_never_drawn_more_as_it_ages(age_s, more_s, peak, half_life_s):
    young, old = (
        temporal_chance(age, peak=peak, half_life_s=half_life_s) for age in (age_s, age_s + more_s)
    )

    assert 0 <= old <= young <= peak


def test_the_chance_of_a_new_version_halves_and_ends():
    chances = [temporal_chance(age, peak=0.2, half_life_s=60) for age in (0, 60, 120, 3600)]

    assert chances == [0.2, 0.1, 0.05, 0.0]
