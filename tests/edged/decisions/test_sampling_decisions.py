import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decisions.sampling import Channel, Sampler

IDS = [f"0198-{number:05d}" for number in range(20_000)]
CHANCE = st.floats(0, 1)
CHANCES = st.fixed_dictionaries(
    {Channel.AUDIT: st.floats(0.01, 1)},
    optional={channel: CHANCE for channel in Channel if channel is not Channel.AUDIT},
)
HUNTING = {Channel.AUDIT: 0.1, Channel.UNCERTAINTY: 0.3}


def samples_of(sampler, chances):
    return [sample for name in IDS if (sample := sampler.sample(name, chances))]


@pytest.mark.parametrize("channel", list(Channel))
def test_every_channel_draws_by_its_chance(channel):
    samples = samples_of(Sampler(b"edge"), {Channel.AUDIT: 0.001, channel: 0.05})

    drawn = sum(any(draw.channel is channel for draw in sample.draws) for sample in samples)
    assert 0.045 < drawn / len(IDS) < 0.055


def test_an_inclusion_probability_is_the_share_that_is_drawn():
    samples = samples_of(Sampler(b"edge"), HUNTING)

    assert len(samples) / len(IDS) == pytest.approx(samples[0].inclusion_probability, abs=0.01)
    assert samples[0].inclusion_probability == pytest.approx(1 - 0.9 * 0.7)


def test_the_channels_draw_independently_and_say_their_own_probability():
    both = [sample for sample in samples_of(Sampler(b"edge"), HUNTING) if len(sample.draws) == 2]

    assert len(both) / len(IDS) == pytest.approx(0.03, abs=0.005)
    assert [(draw.channel, draw.inclusion_probability) for draw in both[0].draws] == [
        (Channel.AUDIT, 0.1),
        (Channel.UNCERTAINTY, 0.3),
    ]


def test_a_sample_of_several_channels_counts_as_audit():
    chances = {Channel.TEMPORAL: 1.0, Channel.STRATIFIED: 1.0, Channel.AUDIT: 1.0}

    sample = Sampler(b"edge").sample("0198", chances)

    assert sample.is_audit
    assert sample.channel is Channel.AUDIT
    assert sample.inclusion_probability == 1.0


@given(st.text(), CHANCES, st.binary(min_size=1, max_size=64))
def test_a_restarted_agent_draws_the_same(execution_id, chances, salt):
    before, after = Sampler(salt), Sampler(salt)

    assert before.sample(execution_id, chances) == after.sample(execution_id, chances)


@given(st.text(), CHANCES, CHANCES)
def test_raising_a_chance_keeps_what_was_drawn(execution_id, chances, others):
    raised = {c: max(chances.get(c, 0), others.get(c, 0)) for c in chances | others}

    before, after = (Sampler(b"edge").sample(execution_id, each) for each in (chances, raised))

    drawn = {draw.channel for draw in before.draws} if before else set()
    assert drawn <= ({draw.channel for draw in after.draws} if after else set())


@given(st.text(), CHANCES)
def test_a_probability_is_that_of_any_channel(execution_id, chances):
    sample = Sampler(b"edge").sample(execution_id, chances)

    if sample:
        own = [draw.inclusion_probability for draw in sample.draws]
        assert all(chance > 0 for chance in own)
        assert max(chances.values()) - 1e-9 <= sample.inclusion_probability <= 1
        assert sample.inclusion_probability <= sum(chances.values()) + 1e-9


def test_two_edges_draw_different_samples():
    one, other = (
        {name for name in IDS if Sampler(salt).sample(name, {Channel.AUDIT: 0.1})}
        for salt in (b"a", b"b")
    )

    assert len(one & other) < 0.02 * len(IDS)


@pytest.mark.parametrize("salt", [b"", b"x" * 65])
def test_a_salt_that_is_none_is_refused(salt):
    with pytest.raises(ValueError, match="a salt has"):
        Sampler(salt)


@pytest.mark.parametrize("chances", [{}, {Channel.UNCERTAINTY: 1.0}, {Channel.AUDIT: 0.0}])
def test_hunting_without_measuring_is_refused(chances):
    with pytest.raises(ValueError, match="audit channel is always on"):
        Sampler(b"edge").sample("0198", chances)
