import json
import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decisions.evidence import Verdict
from edged.decisions.failure import FailureTest
from edged.decisions.intervals import wilson_lower
from edged.decisions.mixtures import Tally

NEVER = 1_000_000


def looks(rate, noise, labels):
    """The tally after every ten labels."""
    failures = 0
    for trials in range(1, labels + 1):
        failures += noise.random() < rate
        if trials % 10 == 0:
            yield Tally(hits=failures, trials=trials)


def labels_to_alarm(rate, noise, labels):
    test = FailureTest()
    # At or below the allowed rate the e-value is at most 1: no need to compute it.
    hot = (t for t in looks(rate, noise, labels) if t.rate > test.allowed_rate)
    return next((t.trials for t in hot if test.is_alarm(t)), NEVER)


def test_at_the_allowed_rate_it_hardly_ever_alarms_however_often_one_looks():
    noise = random.Random(15)
    runs = [labels_to_alarm(0.15, noise, labels=1500) for _ in range(200)]

    assert sum(run < NEVER for run in runs) / len(runs) <= 0.05


def test_a_wilson_bound_looked_at_as_often_alarms_in_every_fifth_run():
    noise = random.Random(15)
    alarms = sum(
        any(wilson_lower(t.hits, t.trials) > 0.15 for t in looks(0.15, noise, labels=1500))
        for _ in range(100)
    )

    assert alarms > 20


def test_a_rate_of_a_fifth_is_found_within_some_530_labels():
    noise = random.Random(20)
    runs = [labels_to_alarm(0.20, noise, labels=3000) for _ in range(100)]

    assert median(runs) <= 530


def test_a_rate_of_three_tenths_is_found_within_some_60_labels():
    noise = random.Random(30)
    runs = [labels_to_alarm(0.30, noise, labels=1000) for _ in range(200)]

    assert median(runs) <= 70


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20), st.randoms())
def test_the_order_of_batches_changes_nothing(batches, shuffler):
    tallies = [Tally(hits=bad, trials=bad + good) for bad, good in batches]
    shuffled = tallies.copy()
    shuffler.shuffle(shuffled)

    in_order, otherwise = sum(tallies, Tally()), sum(shuffled, Tally())

    assert FailureTest().log_e_value(in_order) == FailureTest().log_e_value(otherwise)


def test_the_evidence_says_what_a_person_asks():
    evidence = FailureTest().judge(Tally(hits=31, trials=100))

    assert evidence.verdict is Verdict.FAIL
    assert evidence.words == "failures 31.0 %, 31 of 100 labels; allowed 15.0 %"
    assert evidence.low > 0.15
    assert json.loads(json.dumps(evidence.as_json()))["e_value"] > 20


def test_a_version_shown_to_be_good_passes_and_a_few_labels_show_nothing():
    assert FailureTest().judge(Tally(hits=10, trials=200)).verdict is Verdict.PASS
    assert FailureTest().judge(Tally(hits=1, trials=3)).verdict is Verdict.INCONCLUSIVE
    assert FailureTest().judge(Tally()).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("settings", [{"allowed_rate": 0}, {"allowed_rate": 1}, {"alpha": 0}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValueError, match="between 0 and 1"):
        FailureTest(**settings)
