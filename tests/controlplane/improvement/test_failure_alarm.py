import random

from controlplane.improvement.alarm import BLOCK, estimate
from edged.decisions.failure import FailureTest

TEST = FailureTest()


def labels_until_alarm(drawn, rate, *, good=0):
    """Return labels after the drift until the alarm, looking every ten; None for never."""
    failures = [drawn.random() < 0.05 for _ in range(good)]
    for count in range(1, 1_001):
        failures.append(drawn.random() < rate)
        if count % 10 == 0 and estimate(1, failures, earlier=0, test=TEST).is_alarm:
            return count
    return None


def test_program_that_fails_as_often_as_allowed_hardly_ever_alarms():
    runs = [labels_until_alarm(random.Random(seed), 0.15) for seed in range(25)]

    assert sum(run is not None for run in runs) <= 2


def test_drift_after_a_thousand_good_labels_is_noticed_as_soon_as_one_at_the_start():
    at_once = [labels_until_alarm(random.Random(seed), 0.4) for seed in range(9)]
    later = [labels_until_alarm(random.Random(seed), 0.4, good=1_000) for seed in range(9)]

    assert sorted(at_once)[4] <= 40
    assert sorted(later)[4] <= 100


def test_forgotten_labels_make_an_alarm_harder_never_easier():
    failures = [True, False, False] * 40

    new = estimate(1, failures, earlier=0, test=TEST)
    old = estimate(1, failures, earlier=100 * BLOCK, test=TEST)

    assert old.e_value < new.e_value


def test_no_labels_are_no_alarm_and_an_open_interval():
    empty = estimate(3, [], earlier=0, test=TEST)

    assert (empty.is_alarm, empty.labels, empty.interval) == (False, 0, (0.0, 1.0))


def test_evidence_reads_as_a_sentence():
    words = estimate(2, [True] * 30 + [False] * 70, earlier=0, test=TEST).words

    assert words.startswith("v2 failed 30 of 100 audited executions: 30.0% (95 % interval 21.9%")
