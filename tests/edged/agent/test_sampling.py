"""Draws of executions: deterministic, and as many as configured."""

import random
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.agent.sampling import PERIOD_EXECUTIONS, Doubt, TaskSampler, sampling_salt
from edged.datasets.layout import Layout
from edged.decisions.sampling import Sample
from edged.deployment.checking import Sampling

SALT = bytes(32)
HUNTING = Sampling(strategy="uncertainty", rate=0.05, uncertainty_rate=0.1)


def ids(number: int, seed: int = 1) -> list[str]:
    source = random.Random(seed)
    return [str(UUID(int=source.getrandbits(128))) for _ in range(number)]


def draw(
    sampler: TaskSampler, calls: list[tuple[str, float | None]], doubt: Doubt | None = None
) -> tuple[list[Sample | None], Doubt]:
    doubt = doubt or Doubt()
    samples = []
    for execution_id, confidence in calls:
        samples.append(sampler.sample(execution_id, confidence, doubt))
        doubt = sampler.after(confidence, doubt)
    return samples, doubt


def traffic(number: int, seed: int = 1) -> list[tuple[str, float | None]]:
    """Calls of which most are confident, as a good program's are."""
    source = random.Random(seed)
    return [(name, source.betavariate(8, 1)) for name in ids(number, seed)]


def test_the_audit_channel_draws_its_share():
    samples, _ = draw(TaskSampler(Sampling(rate=0.05), SALT), traffic(20_000))

    drawn = [sample for sample in samples if sample]
    assert 880 <= len(drawn) <= 1_120  # four standard deviations
    assert {sample.channel for sample in drawn} == {"audit"}
    assert all(sample.inclusion_probability == pytest.approx(0.05) for sample in drawn)


def test_random_draws_by_audit_alone_however_unsure_the_program():
    samples, doubt = draw(TaskSampler(Sampling(rate=0.05), SALT), [(i, 0.1) for i in ids(5_000)])

    assert {sample.channel for sample in samples if sample} == {"audit"}
    assert doubt == Doubt()


def test_uncertainty_draws_its_share_besides_and_prefers_the_doubtful():
    calls = traffic(20_000)

    samples, _ = draw(TaskSampler(HUNTING, SALT), calls)

    hunted = [
        confidence
        for sample, (_, confidence) in zip(samples, calls, strict=True)
        if sample and any(each.channel == "uncertainty" for each in sample.draws)
    ]
    mean_of_all = sum(confidence for _, confidence in calls) / len(calls)
    assert 0.08 <= len(hunted) / (len(calls) - PERIOD_EXECUTIONS) <= 0.12
    assert sum(hunted) / len(hunted) < mean_of_all - 0.05


def test_the_same_executions_are_audited_whatever_the_strategy():
    calls = traffic(5_000)

    samples = [draw(TaskSampler(s, SALT), calls)[0] for s in (HUNTING, Sampling(rate=0.05))]

    audits = [[bool(sample and sample.is_audit) for sample in each] for each in samples]
    assert audits[0] == audits[1]


def test_inclusion_probabilities_weigh_a_biased_sample_back():
    calls = traffic(30_000)
    source = random.Random(3)
    fails = [source.random() > confidence for _, confidence in calls]

    samples, _ = draw(TaskSampler(HUNTING, SALT), calls)

    drawn = [(sample, failed) for sample, failed in zip(samples, fails, strict=True) if sample]
    weights = [1 / sample.inclusion_probability for sample, _ in drawn]
    weighted = sum(w for w, (_, failed) in zip(weights, drawn, strict=True) if failed)
    naive = sum(failed for _, failed in drawn) / len(drawn)
    truth = sum(fails) / len(fails)
    assert weighted / sum(weights) == pytest.approx(truth, abs=0.015)
    assert naive > truth + 0.03


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3_000), st.integers(0, 10))
def test_a_restart_anywhere_draws_the_same_samples(stop, seed):
    calls = traffic(3_000, seed)
    whole, _ = draw(TaskSampler(HUNTING, SALT), calls)

    before, doubt = draw(TaskSampler(HUNTING, SALT), calls[:stop])
    after, _ = draw(TaskSampler(HUNTING, SALT), calls[stop:], doubt)

    assert before + after == whole


@given(st.floats(0, 1) | st.none() | st.sampled_from([-0.5, 1.5]))
def test_any_confidence_is_taken(confidence):
    sampler = TaskSampler(HUNTING, SALT)

    doubt = sampler.after(confidence, Doubt(steepness=1.0))

    assert sum(doubt.bins) == (confidence is not None)
    sampler.sample(ids(1)[0], confidence, doubt)


def test_the_salt_is_made_once_and_is_the_owners_alone(tmp_path: Path):
    layout = Layout(tmp_path / "edge")

    salt = sampling_salt(layout)

    assert sampling_salt(layout) == salt
    assert sampling_salt(Layout(tmp_path / "other")) != salt
    assert (layout.state / "sampling.salt").stat().st_mode & 0o777 == 0o600
