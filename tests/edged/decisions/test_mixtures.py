from math import exp, fsum, isclose, isfinite, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decisions.beta import log_beta_above, log_beta_below
from edged.decisions.mixtures import Tally, log_e_above, log_e_below

TALLIES = st.integers(0, 400).flatmap(
    lambda trials: st.builds(Tally, hits=st.integers(0, trials), trials=st.just(trials))
)
RATES = st.floats(0.01, 0.99)


# Uniform: x. Power: x to the a. Symmetric: one half. I_.2(2,3): 1 - .8^4 - 4 * .2 * .8^3.
@pytest.mark.parametrize(
    ("x", "a", "b", "expected"),
    [(0.3, 1, 1, 0.3), (0.3, 4, 1, 0.0081), (0.5, 7, 7, 0.5), (0.2, 2, 3, 0.1808)],
)
def test_the_beta_distribution_has_its_known_values(x, a, b, expected):
    assert isclose(exp(log_beta_below(x, a, b)), expected, rel_tol=1e-12)


@given(st.floats(0.001, 0.999), st.floats(0.1, 2000), st.floats(0.1, 2000))
def test_below_and_above_make_one(x, a, b):
    assert isclose(exp(log_beta_below(x, a, b)) + exp(log_beta_above(x, a, b)), 1, rel_tol=1e-9)


def test_the_beta_distribution_reaches_far_below_the_smallest_float():
    value = log_beta_below(0.15, 900_000, 100_000)

    assert isfinite(value)
    assert value < -1_000_000


# Ten trials at the claimed rate: the average over everything that can happen.
@given(st.floats(0.02, 0.98), st.floats(0, 1))
def test_a_true_claim_gains_nothing_on_average(claimed, share):
    actual = claimed * share
    ways = [1, 10, 45, 120, 210, 252, 210, 120, 45, 10, 1]

    mean = fsum(
        ways[k]
        * actual**k
        * (1 - actual) ** (10 - k)
        * exp(log_e_above(Tally(hits=k, trials=10), claimed))
        for k in range(11)
    )

    assert mean <= 1 + 1e-9


# What makes it a martingale: after any history, the next trial changes nothing on average.
@given(TALLIES, RATES)
def test_at_the_claimed_rate_the_next_trial_changes_nothing_on_average(tally, rate):
    def log_e(tally):
        return log_e_above(tally, rate)

    hit, miss = tally + Tally(hits=1, trials=1), tally + Tally(hits=0, trials=1)

    mean = rate * exp(log_e(hit) - log_e(tally)) + (1 - rate) * exp(log_e(miss) - log_e(tally))

    assert isclose(mean, 1, rel_tol=1e-6)


@given(TALLIES, RATES)
def test_the_two_claims_are_never_both_refuted(tally, rate):
    assert min(log_e_above(tally, rate), log_e_below(tally, rate)) <= 1e-9


def test_a_million_labels_are_as_fine_as_ten():
    tally = Tally(hits=160_000, trials=1_000_000)

    assert log_e_above(tally, 0.15) > log(20)
    assert isfinite(log_e_above(Tally(hits=0, trials=1_000_000), 0.15))


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_rate_that_nothing_could_refute_is_not_tested(rate):
    with pytest.raises(ValueError, match="between 0 and 1"):
        log_e_above(Tally(hits=1, trials=2), rate)


def test_more_hits_than_trials_are_refused():
    with pytest.raises(ValueError, match="3 hits of 2"):
        Tally(hits=3, trials=2)
