import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decisions.chances import steepness_for, uncertainty_chance
from edged.decisions.estimates import CONFIDENCE, Label, hajek, horvitz_thompson
from edged.decisions.intervals import wilson
from edged.decisions.sampling import Channel, Sampler

TRUE_RATE = 0.13
EXECUTIONS = 1500
LABELS = st.lists(
    st.builds(Label, is_failure=st.booleans(), inclusion_probability=st.floats(0.01, 1)),
    max_size=50,
)


def traffic(noise):
    """Executions of a calibrated program that fails 13 % of the time: (confidence, is_failure)."""
    doubts = [noise.betavariate(0.4, 0.4 * (1 - TRUE_RATE) / TRUE_RATE) for _ in range(EXECUTIONS)]
    return [(1 - doubt, noise.random() < doubt) for doubt in doubts]


def draw(noise, executions):
    """The labels of an audit channel and an uncertainty channel of 5 % each."""
    bins = [0] * 10
    for confidence, _ in executions:
        bins[min(int(confidence * 10), 9)] += 1
    sampler, steepness = Sampler(noise.randbytes(16)), steepness_for(bins, rate=0.05)
    for number, (confidence, is_failure) in enumerate(executions):
        doubt = uncertainty_chance(confidence, steepness)
        chances = {Channel.AUDIT: 0.05, Channel.UNCERTAINTY: doubt}
        if sample := sampler.sample(f"execution-{number}", chances):
            yield Label(is_failure=is_failure, inclusion_probability=sample.inclusion_probability)


def test_weighted_intervals_hold_the_true_rate_where_the_naive_one_does_not():
    noise, held = random.Random(13), {"horvitz_thompson": 0, "hajek": 0, "naive": 0}

    for _ in range(100):
        labels = list(draw(noise, traffic(noise)))
        failures = sum(label.is_failure for label in labels)
        held["horvitz_thompson"] += (
            TRUE_RATE in horvitz_thompson(labels, executions=EXECUTIONS).interval
        )
        held["hajek"] += TRUE_RATE in hajek(labels).interval
        held["naive"] += TRUE_RATE in wilson(failures, len(labels))

    assert held["horvitz_thompson"] >= 93
    assert held["hajek"] >= 93
    assert held["naive"] <= 50


def test_with_every_execution_labelled_both_are_the_plain_share():
    labels = [Label(is_failure=n < 3, inclusion_probability=1.0) for n in range(20)]

    assert horvitz_thompson(labels, executions=20).rate == pytest.approx(0.15)
    assert hajek(labels).rate == pytest.approx(0.15)
    assert hajek(labels).interval.low == pytest.approx(wilson(3, 20, confidence=CONFIDENCE).low)


def test_a_sample_counts_for_the_executions_it_stands_for():
    labels = [
        Label(is_failure=True, inclusion_probability=0.5),
        Label(is_failure=False, inclusion_probability=0.1),
    ]

    assert horvitz_thompson(labels, executions=20).rate == pytest.approx(2 / 20)
    assert hajek(labels).rate == pytest.approx(2 / 12)


@given(LABELS)
def test_every_estimate_lies_in_its_interval(labels):
    for estimate in (horvitz_thompson(labels, executions=200), hajek(labels)):
        assert 0 <= estimate.interval.low <= estimate.interval.high <= 1
        assert estimate.rate == pytest.approx(
            min(max(estimate.rate, estimate.interval.low), estimate.interval.high), abs=1e-9
        )
        assert estimate.standard_error >= 0


def test_without_labels_everything_is_possible():
    assert (hajek([]).interval.low, hajek([]).interval.high) == (0.0, 1.0)
    assert horvitz_thompson([], executions=5).interval.high == 1.0


def test_a_label_that_could_not_have_been_drawn_is_refused():
    with pytest.raises(ValueError, match="inclusion probability of 0"):
        Label(is_failure=True, inclusion_probability=0.0)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs executions"):
        horvitz_thompson([], executions=0)
