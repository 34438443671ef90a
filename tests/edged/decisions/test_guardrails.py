import json
import random
from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.decisions.evidence import Verdict
from edged.decisions.guardrails import Tolerances, compare, judge_slow_calls
from edged.decisions.mixtures import Tally

ALPHA = 0.05
TALLIES = st.integers(0, 3000).flatmap(
    lambda trials: st.builds(Tally, hits=st.integers(0, trials), trials=st.just(trials))
)


def timeouts(candidate, stable, margin=0.02, alpha=ALPHA):
    return compare("timeouts", candidate, stable, margin=margin, alpha=alpha)


def drawn(noise, rate, trials):
    return Tally(hits=sum(noise.random() < rate for _ in range(trials)), trials=trials)


def verdicts(noise, rates, steps):
    """The verdicts at each look; a look every 50 candidate and 150 stable executions."""
    candidate, stable = Tally(), Tally()
    for _ in range(steps):
        candidate += drawn(noise, rates[0], 50)
        stable += drawn(noise, rates[1], 150)
        yield timeouts(candidate, stable).verdict


def test_a_candidate_exactly_at_the_margin_gets_a_verdict_in_few_runs():
    noise = random.Random(3)
    decided = sum(
        any(v is not Verdict.INCONCLUSIVE for v in verdicts(noise, (0.04, 0.02), steps=10))
        for _ in range(40)
    )

    assert decided <= 4  # two verdicts, each at 5 %


def test_a_candidate_that_times_out_is_refused():
    seen = list(verdicts(random.Random(4), (0.10, 0.01), steps=15))

    assert seen[-1] is Verdict.FAIL
    assert Verdict.PASS not in seen


def test_a_candidate_that_always_fails_is_refused_within_twenty_executions():
    evidence = timeouts(Tally(hits=20, trials=20), Tally(hits=0, trials=180), alpha=0.01)

    assert evidence.verdict is Verdict.FAIL


def test_a_candidate_without_trouble_passes_after_some_three_hundred_executions():
    soon = timeouts(Tally(trials=100), Tally(trials=900), alpha=0.01)
    later = timeouts(Tally(trials=350), Tally(trials=3150), alpha=0.01)

    assert (soon.verdict, later.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)


def test_a_little_worse_is_tolerated_only_within_the_margin():
    candidate, stable = Tally(hits=400, trials=10_000), Tally(hits=200, trials=10_000)

    assert timeouts(candidate, stable, margin=0.04).verdict is Verdict.PASS
    assert timeouts(candidate, stable, margin=0.0).verdict is Verdict.FAIL


def test_the_sentence_names_both_rates_and_the_counts():
    evidence = timeouts(Tally(hits=120, trials=2850), Tally(hits=25, trials=25_000))

    assert evidence.words == "timeouts 4.2 % against 0.1 %, 120 of 2,850"
    assert evidence.low < evidence.estimate < evidence.high


@settings(max_examples=50, deadline=None)
@given(TALLIES, TALLIES, st.sampled_from([0.0, 0.02, 0.2]))
def test_any_counts_give_finite_evidence_that_survives_json(candidate, stable, margin):
    evidence = timeouts(candidate, stable, margin=margin)
    document = json.loads(json.dumps(evidence.as_json(), allow_nan=False))

    assert isfinite(evidence.log_e_fail)
    assert isfinite(evidence.log_e_pass)
    assert evidence.low <= evidence.estimate <= evidence.high
    assert document["verdict"] in {"PASS", "FAIL", "INCONCLUSIVE"}


@settings(max_examples=50, deadline=None)
@given(TALLIES, TALLIES)
def test_one_more_failure_never_helps_a_candidate(candidate, stable):
    before = timeouts(candidate + Tally(trials=1), stable + Tally(trials=1))
    after = timeouts(candidate + Tally(hits=1, trials=1), stable + Tally(trials=1))

    assert (before.verdict, after.verdict) not in {
        (Verdict.FAIL, Verdict.PASS),
        (Verdict.FAIL, Verdict.INCONCLUSIVE),
        (Verdict.INCONCLUSIVE, Verdict.PASS),
    }


def test_without_both_arms_there_is_no_verdict():
    assert timeouts(Tally(), Tally(trials=500)).verdict is Verdict.INCONCLUSIVE
    assert timeouts(Tally(hits=500, trials=500), Tally()).verdict is Verdict.INCONCLUSIVE


def slow(hits, trials, above_ms=8.0):
    tally = Tally(hits=hits, trials=trials)
    return judge_slow_calls(tally, slow_above_ms=above_ms, share=0.03, alpha=0.01)


def test_slow_calls_are_judged_by_their_share():
    assert slow(0, 300).verdict is Verdict.PASS
    assert slow(10, 100).verdict is Verdict.INCONCLUSIVE
    assert slow(60, 500).verdict is Verdict.FAIL
    assert slow(60, 500).words == ("12.0 % of calls slower than 8.0 ms, allowed 3.0 %, 60 of 500")


def test_slow_means_nothing_before_the_stable_p99_is_known():
    assert slow(0, 1000, above_ms=None).verdict is Verdict.INCONCLUSIVE


def test_twice_very_little_is_not_slow():
    assert Tolerances().slow_above_ms(0.1) == 2.0
    assert Tolerances().slow_above_ms(40.0) == 80.0


@pytest.mark.parametrize("settings", [{"alpha": 0}, {"slow_share": 1}, {"error_margin": -0.1}])
def test_tolerances_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValueError, match="0"):
        Tolerances(**settings)
