"""Draws of executions: deterministic, and as many as configured."""

import random
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edged.agent.sampling import TaskSampler, sampling_salt
from edged.datasets.layout import Layout
from edged.datasets.records import Timestamps
from edged.decisions.estimates import Label, hajek
from edged.decisions.sampling import Channel, Sample
from edged.decisions.traffic import PERIOD_EXECUTIONS, Traffic
from edged.deployment.checking import Sampling

SALT = bytes(32)
NOON = 1_795_435_200.0
UNCERTAINTY = Sampling(strategy="uncertainty", uncertainty_rate=0.1)
STRATIFIED = Sampling(strategy="stratified", stratified_rate=0.1, strata=("customer.tier",))
TEMPORAL = Sampling(strategy="temporal", temporal_rate=0.5, temporal_half_life_s=100)
ALL = Sampling(strategy=("uncertainty", "stratified", "temporal"), strata=("customer.tier",))
ACTIVE = Sampling(strategy="active", budget_per_day=2_000)
STRATEGIES = [UNCERTAINTY, STRATIFIED, TEMPORAL, ALL, ACTIVE]


def traffic(number: int, seed: int = 1, *, rate_hz: float = 10.0) -> list[dict]:
    """Calls of which most are confident, as a good program's are; version 2 comes half way."""
    source, times = random.Random(seed), Timestamps()
    return [
        {
            "execution_id": str(UUID(int=source.getrandbits(128))),
            "confidence": source.betavariate(8, 1),
            "output": source.choices(["ham", "spam", "rare"], [90, 9, 1])[0],
            "input": {"customer": {"tier": source.choice(["gold", "free"])}},
            "version": 1 + (n >= number / 2),
            "timestamp": times.text(NOON + n / rate_hz),
        }
        for n in range(number)
    ]


def draw(chosen: Sampling, calls: list[dict], seen: Traffic | None = None) -> list[Sample | None]:
    sampler, seen = TaskSampler(chosen, SALT), seen or Traffic()
    return [sampler.take(call, seen) for call in calls]


def hunted(samples: list[Sample | None], calls: list[dict], channel: Channel) -> list[dict]:
    """The calls that this channel drew, whether audit drew them too or not."""
    return [
        call
        for sample, call in zip(samples, calls, strict=True)
        if sample and any(each.channel is channel for each in sample.draws)
    ]


def test_the_audit_channel_draws_its_share():
    samples = draw(Sampling(rate=0.05), traffic(20_000))

    drawn = [sample for sample in samples if sample]
    assert 880 <= len(drawn) <= 1_120  # four standard deviations
    assert {sample.channel for sample in drawn} == {"audit"}
    assert all(sample.inclusion_probability == pytest.approx(0.05) for sample in drawn)


def test_random_draws_by_audit_alone_however_unsure_the_program():
    samples = draw(Sampling(rate=0.05), [call | {"confidence": 0.1} for call in traffic(5_000)])

    assert {sample.channel for sample in samples if sample} == {"audit"}


def test_uncertainty_draws_its_share_besides_and_prefers_the_doubtful():
    calls = traffic(20_000)

    found = hunted(draw(UNCERTAINTY, calls), calls, Channel.UNCERTAINTY)

    mean_of_all = sum(call["confidence"] for call in calls) / len(calls)
    assert 0.08 <= len(found) / len(calls) <= 0.12
    assert sum(call["confidence"] for call in found) / len(found) < mean_of_all - 0.05


def test_stratified_draws_its_share_and_finds_the_rare_outputs_of_every_tier():
    calls = traffic(20_000)

    found = hunted(draw(STRATIFIED, calls), calls, Channel.STRATIFIED)

    assert 0.08 <= len(found) / len(calls) <= 0.12
    counts = {
        (output, tier): sum(
            call["output"] == output and call["input"]["customer"]["tier"] == tier for call in found
        )
        for output in ("ham", "spam", "rare")
        for tier in ("gold", "free")
    }
    assert min(counts.values()) > 80  # of about a hundred in all; 9 % would be nine
    assert max(counts.values()) < 700


def test_stratified_reads_any_output_and_input():
    sampler, seen = TaskSampler(STRATIFIED, SALT), Traffic()
    odd = [None, 1.5, [1, {"b": 2}], {"b": 1, "a": 2}, "text"]

    for number, call in enumerate(traffic(2_500)):
        call["output"] = odd[number % len(odd)]
        call["input"] = odd[(number // 5) % len(odd)]
        sampler.take(call, seen)

    assert len(seen.before.strata) == 5  # none of these inputs has the declared field


def test_a_checkpoint_holds_no_text():
    sampler, seen = TaskSampler(ALL, SALT), Traffic()

    for call in traffic(2_000):
        sampler.take(call, seen)

    saved = orjson.dumps(seen.as_json())
    assert not any(word in saved for word in (b"ham", b"spam", b"gold", b"free"))


def test_temporal_looks_closely_at_a_version_that_is_new():
    calls = traffic(20_000)  # 2,000 s; version 2 after 1,000

    found = hunted(draw(TEMPORAL, calls), calls, Channel.TEMPORAL)

    spans = [0] * 20
    for call in found:
        spans[calls.index(call) // 1_000] += 1
    assert all(330 < spans[first] < 400 for first in (0, 10))  # 1,000 at .5 to .25: 361
    assert all(spans[n] > spans[n + 1] for n in (0, 1, 10, 11))
    assert sum(spans[9:10] + spans[19:]) == 0


def test_strategies_compose_and_each_finds_its_own():
    calls = traffic(20_000)

    samples = draw(ALL, calls)

    found = {channel: hunted(samples, calls, channel) for channel in Channel}
    assert all(len(each) > 500 for each in found.values())
    alone = draw(Sampling(), calls)
    audited = [[bool(s and s.is_audit) for s in each] for each in (samples, alone)]
    assert audited[0] == audited[1]  # whatever hunts besides


@pytest.mark.parametrize("rate_hz", [0.1, 1, 10])
def test_active_spends_the_days_budget_evenly(rate_hz):
    calls = traffic(20_000, rate_hz=rate_hz)

    samples = draw(ACTIVE, calls)[100:]  # the first period knows no pace

    days = 19_900 / rate_hz / 86_400
    drawn = [sample for sample in samples if sample]
    assert len(drawn) == pytest.approx(2_000 * days, rel=0.25, abs=25)
    channels = {each.channel for sample in drawn for each in sample.draws}
    assert channels == {"audit", "uncertainty", "stratified"}


def test_active_measures_as_much_as_the_budget_permits():
    calls = traffic(20_000, rate_hz=0.05)  # 4,320 a day: the budget pays for almost half

    samples = draw(ACTIVE, calls)

    assert 880 <= sum(bool(sample and sample.is_audit) for sample in samples) <= 1_120


@pytest.mark.parametrize("chosen", STRATEGIES)
def test_inclusion_probabilities_weigh_a_biased_sample_back(chosen):
    calls = traffic(30_000, seed=5)
    source = random.Random(3)
    fails = [source.random() > call["confidence"] for call in calls]

    samples = draw(chosen, calls)

    labels = [
        Label(is_failure=failed, inclusion_probability=sample.inclusion_probability)
        for sample, failed in zip(samples, fails, strict=True)
        if sample
    ]
    assert sum(fails) / len(fails) in hajek(labels, confidence=0.999).interval


def test_uncertainty_is_weighed_back_where_the_naive_share_overstates():
    held = {"weighted": 0, "naive": 0}

    for run in range(20):
        calls = traffic(3_000, seed=run)
        source = random.Random(run)
        samples = draw(UNCERTAINTY, calls)
        labels = [
            Label(
                is_failure=source.random() > call["confidence"],
                inclusion_probability=sample.inclusion_probability,
            )
            for sample, call in zip(samples, calls, strict=True)
            if sample
        ]
        truth = 1 - 8 / 9
        held["weighted"] += truth in hajek(labels).interval
        naive = [Label(is_failure=each.is_failure, inclusion_probability=1) for each in labels]
        held["naive"] += truth in hajek(naive).interval

    assert held["weighted"] >= 18
    assert held["naive"] <= 10


@pytest.mark.parametrize("chosen", STRATEGIES)
@settings(max_examples=8, deadline=None)
@given(stop=st.integers(0, 2_500), seed=st.integers(0, 10))
def test_a_restart_anywhere_draws_the_same_samples(chosen, stop, seed):
    calls = traffic(2_500, seed)
    whole = draw(chosen, calls)

    seen = Traffic()
    before = draw(chosen, calls[:stop], seen)
    saved = Traffic.from_json(orjson.loads(orjson.dumps(seen.as_json())))
    after = draw(chosen, calls[stop:], saved)

    assert before + after == whole


@given(st.floats(0, 1) | st.none() | st.sampled_from([-0.5, 1.5]))
def test_any_confidence_is_taken(confidence):
    seen = Traffic()

    TaskSampler(UNCERTAINTY, SALT).take(traffic(1)[0] | {"confidence": confidence}, seen)

    assert sum(seen.now.bins) == (confidence is not None)


@pytest.mark.parametrize("missing", ["execution_id", "timestamp", "output", "version"])
def test_what_is_no_execution_is_refused(missing):
    [call] = traffic(1)
    del call[missing]

    with pytest.raises(KeyError):
        TaskSampler(ALL, SALT).take(call, Traffic())


@pytest.mark.parametrize(
    "fields",
    [
        {"rate": 0.009},
        {"rate": 0.21},
        {"strategy": "often"},
        {"strategy": ()},
        {"strategy": ("active", "temporal")},
        {"temporal_half_life_s": 0},
        {"budget_per_day": 0},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ValidationError):
        Sampling(**fields)


def test_a_period_is_short_enough_to_follow_a_drift():
    calls = traffic(6 * PERIOD_EXECUTIONS)
    for call in calls[3 * PERIOD_EXECUTIONS :]:
        call["confidence"] = call["confidence"] / 2  # all at once the program doubts

    found = hunted(draw(UNCERTAINTY, calls), calls, Channel.UNCERTAINTY)

    late = [call for call in found if calls.index(call) >= 5 * PERIOD_EXECUTIONS]
    assert len(late) == pytest.approx(0.1 * PERIOD_EXECUTIONS, rel=0.4)


def test_the_salt_is_made_once_and_is_the_owners_alone(tmp_path: Path):
    layout = Layout(tmp_path / "edge")

    salt = sampling_salt(layout)

    assert sampling_salt(layout) == salt
    assert sampling_salt(Layout(tmp_path / "other")) != salt
    assert (layout.state / "sampling.salt").stat().st_mode & 0o777 == 0o600
