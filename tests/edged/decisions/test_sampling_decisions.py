import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decisions.sampling import Channel, Sampler, steepness_for, uncertainty_chance

IDS = [f"0198-{number:05d}" for number in range(20_000)]
CONFIDENCES = st.one_of(st.none(), st.floats(0, 1))


def drawn(sampler, confidence):
    return {name for name in IDS if sampler.sample(name, confidence)}


def test_the_audit_channel_draws_its_rate_of_every_confidence():
    sampler = Sampler(salt=b"edge", audit_rate=0.05)

    for confidence in (None, 0.1, 1.0):
        assert 0.045 < len(drawn(sampler, confidence)) / len(IDS) < 0.055


def test_an_inclusion_probability_is_the_share_that_is_drawn():
    sampler = Sampler(salt=b"edge", audit_rate=0.1, steepness=0.5)
    samples = [sample for name in IDS if (sample := sampler.sample(name, 0.4))]

    assert len(samples) / len(IDS) == pytest.approx(samples[0].inclusion_probability, abs=0.01)
    assert samples[0].inclusion_probability == pytest.approx(1 - 0.9 * 0.7)


def test_the_channels_draw_independently_and_say_their_own_probability():
    sampler = Sampler(salt=b"edge", audit_rate=0.1, steepness=0.5)
    samples = [sample for name in IDS if (sample := sampler.sample(name, 0.4))]
    both = [sample for sample in samples if len(sample.draws) == 2]

    assert len(both) / len(IDS) == pytest.approx(0.03, abs=0.005)
    assert [(draw.channel, draw.inclusion_probability) for draw in both[0].draws] == [
        (Channel.AUDIT, 0.1),
        (Channel.UNCERTAINTY, pytest.approx(0.3)),
    ]


def test_a_sample_of_both_channels_counts_as_audit():
    sampler = Sampler(salt=b"edge", audit_rate=1.0, steepness=1.0)

    sample = sampler.sample("0198", 0.0)

    assert sample.is_audit
    assert sample.channel is Channel.AUDIT
    assert sample.inclusion_probability == 1.0


@given(st.text(), CONFIDENCES, st.binary(min_size=1, max_size=64))
def test_a_restarted_agent_draws_the_same(execution_id, confidence, salt):
    before, after = (Sampler(salt=salt, audit_rate=0.5, steepness=0.5) for _ in range(2))

    assert before.sample(execution_id, confidence) == after.sample(execution_id, confidence)


@given(st.text(), CONFIDENCES, st.floats(0.01, 0.5), st.floats(0, 0.5))
def test_raising_the_rate_keeps_what_was_drawn(execution_id, confidence, rate, more):
    before = Sampler(salt=b"edge", audit_rate=rate).sample(execution_id, confidence)
    after = Sampler(salt=b"edge", audit_rate=rate + more).sample(execution_id, confidence)

    assert before is None or after is not None


def test_two_edges_draw_different_samples():
    one, other = (drawn(Sampler(salt=salt, audit_rate=0.1), None) for salt in (b"a", b"b"))

    assert len(one & other) < 0.02 * len(IDS)


@given(CONFIDENCES, st.floats(0, 100))
def test_more_doubt_is_never_drawn_less(confidence, steepness):
    chance = uncertainty_chance(confidence, steepness)

    assert 0 <= chance <= uncertainty_chance(0.0, steepness) <= 1


@given(st.lists(st.integers(0, 10_000), min_size=10, max_size=10), st.floats(0.001, 0.2))
def test_the_steepness_draws_the_rate_of_the_past(bins, rate):
    steepness = steepness_for(bins, rate=rate)

    expected = sum(n * uncertainty_chance((i + 0.5) / 10, steepness) for i, n in enumerate(bins))
    assert expected == pytest.approx(rate * sum(bins), rel=1e-4)


def test_without_a_past_only_the_audit_draws():
    assert steepness_for([0] * 10, rate=0.05) == 0.0
    assert steepness_for([5] * 10, rate=0.0) == 0.0


@pytest.mark.parametrize(
    "settings", [{"salt": b""}, {"salt": b"x" * 65}, {"audit_rate": 0.0}, {"steepness": -1.0}]
)
def test_a_sampler_that_could_not_measure_is_refused(settings):
    with pytest.raises(ValueError, match=r"salt|audit_rate"):
        Sampler(**{"salt": b"edge", **settings})
