from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decisions.traffic import (
    FIRST_PERIOD_EXECUTIONS,
    MAX_STRATA,
    OTHERS,
    PERIOD_EXECUTIONS,
    Traffic,
)

EXECUTIONS = st.lists(
    st.tuples(st.none() | st.floats(-1, 2), st.none() | st.text(max_size=2), st.floats(0, 1e10)),
    max_size=2 * FIRST_PERIOD_EXECUTIONS,
)


def seen(executions):
    traffic = Traffic()
    for confidence, stratum, at_s in executions:
        traffic.count(confidence, stratum, at_s)
    return traffic


def test_the_first_period_is_short_and_the_others_are_not():
    traffic = Traffic()

    begins = [n for n in range(1, 2_500) if traffic.count(0.5, None, None)]

    assert begins == [FIRST_PERIOD_EXECUTIONS + n * PERIOD_EXECUTIONS for n in range(3)]
    assert traffic.before.executions == PERIOD_EXECUTIONS


def test_texts_that_are_all_different_are_one_stratum():
    traffic = seen([(None, str(n), None) for n in range(FIRST_PERIOD_EXECUTIONS)])

    assert len(traffic.before.strata) == MAX_STRATA + 1
    assert traffic.before.strata[OTHERS] == FIRST_PERIOD_EXECUTIONS - MAX_STRATA
    assert traffic.alike("never seen") == FIRST_PERIOD_EXECUTIONS - MAX_STRATA


def test_a_new_output_counts_as_it_comes():
    traffic = seen([(None, "ham", None)] * FIRST_PERIOD_EXECUTIONS)

    before = traffic.alike("spam")
    traffic.count(None, "spam", None)

    assert (before, traffic.alike("spam")) == (0, 1)
    assert traffic.alike("ham") == FIRST_PERIOD_EXECUTIONS


def test_a_pace_is_told_by_the_times_in_the_log():
    even = seen([(None, None, float(n)) for n in range(FIRST_PERIOD_EXECUTIONS)])
    standing = seen([(None, None, 5.0)] * FIRST_PERIOD_EXECUTIONS)

    assert even.before.executions_per_day == pytest.approx(86_400 * 100 / 99)
    assert standing.before.executions_per_day is None


def test_a_version_is_as_old_as_its_first_execution_here():
    traffic = Traffic()

    ages = [traffic.age_s(version, at_s) for version, at_s in ((1, 10.0), (2, 50.0), (1, 60.0))]

    assert ages == [0.0, 0.0, 50.0]


def test_old_versions_are_forgotten():
    traffic = Traffic()

    for version in range(100):
        traffic.age_s(version, 1.0)

    assert len(traffic.first_seen) == 16
    assert traffic.age_s(3, 9.0) == 0.0  # older than what is remembered: new again, not unknown


def test_one_that_was_forgotten_grows_old_again():
    traffic = Traffic()
    for version in range(100):
        traffic.age_s(version, 1.0)

    ages = [traffic.age_s(3, at_s) for at_s in (9.0, 20.0)]

    assert ages == [0.0, 11.0]


def test_a_version_that_comes_back_after_a_whole_period_is_new():
    traffic = Traffic()
    ages = []
    for at_s in range(3_000):
        version = 2 if 50 <= at_s < 2_000 else 1
        ages.append(traffic.age_s(version, float(at_s)))
        traffic.count(None, None, None)

    assert (ages[49], ages[50], ages[1_999]) == (49, 0, 1_949)
    assert (ages[2_000], ages[2_999]) == (0, 999)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_two_arms_grow_old_side_by_side(share):
    traffic, source = Traffic(), Random(1)

    ages = []
    for at_s in range(3_000):
        ages.append(traffic.age_s(2 if source.random() < share else 1, float(at_s)))
        traffic.count(None, None, None)

    assert ages.count(0) == 2
    assert min(ages[-20:]) > 2_900


@given(EXECUTIONS)
def test_what_is_saved_is_read_again(executions):
    traffic = seen(executions)
    traffic.age_s(3, 7.0)

    again = Traffic.from_json(orjson.loads(orjson.dumps(traffic.as_json())))

    assert again == traffic


@given(EXECUTIONS)
def test_a_copy_stays_as_it_was(executions):
    traffic = seen(executions)
    copied, before = traffic.copy(), traffic.as_json() | {}
    before = orjson.dumps(before)

    copied.count(0.5, "x", 1.0)
    copied.age_s(9, 1.0)

    assert orjson.dumps(traffic.as_json()) == before


@pytest.mark.parametrize("document", [{}, {"now": 3}, {"now": {"a": 1}, "before": None}, []])
def test_what_is_no_traffic_is_refused(document):
    with pytest.raises(ValueError, match="not a task's traffic"):
        Traffic.from_json(document)
