import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decisions.intervals import anytime, wilson, wilson_lower, wilson_upper
from edged.decisions.mixtures import Tally

COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


# Wilson's formula worked by hand; the first is Brown, Cai and DasGupta's usual example.
@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (991, 1000, 0.983, 0.9953),
    ],
)
def test_wilson_has_its_published_values(hits, trials, low, high):
    interval = wilson(hits, trials)

    assert interval.low == pytest.approx(low, abs=1e-4)
    assert interval.high == pytest.approx(high, abs=1e-4)


@given(COUNTS)
def test_every_interval_holds_the_share_it_was_made_from(counts):
    hits, trials = counts
    interval, live = wilson(hits, trials), anytime(Tally(hits=hits, trials=trials))

    assert 0 <= interval.low <= hits / trials <= interval.high <= 1
    assert 0 <= live.low <= hits / trials <= live.high <= 1


@given(COUNTS)
def test_a_one_sided_bound_is_nearer_than_the_two_sided_one(counts):
    interval = wilson(*counts)

    assert interval.low <= wilson_lower(*counts)
    assert wilson_upper(*counts) <= interval.high


def test_without_trials_everything_is_possible():
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert (anytime(Tally()).low, anytime(Tally()).high) == (0.0, 1.0)


def test_more_hits_than_trials_have_no_interval():
    with pytest.raises(ValueError, match="3 hits of 2"):
        wilson(3, 2)


def test_looking_at_every_turn_breaks_wilson_and_not_the_anytime_interval():
    noise, missed_by_wilson, missed_by_anytime = random.Random(11), 0, 0

    for _ in range(60):
        looks, hits = [], 0
        for trials in range(1, 401):
            hits += noise.random() < 0.15
            if trials % 20 == 0:
                looks.append(Tally(hits=hits, trials=trials))
        missed_by_wilson += any(0.15 not in wilson(t.hits, t.trials) for t in looks)
        missed_by_anytime += any(0.15 not in anytime(t) for t in looks)

    assert missed_by_wilson > 9
    assert missed_by_anytime <= 3
