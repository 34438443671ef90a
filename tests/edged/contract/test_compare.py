import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.contract.compare import Comparison, Exact, Fuzzy, without

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@pytest.mark.parametrize(
    ("output", "truth", "is_match"),
    [
        ("spam", "spam", True),
        ("spam", "ham", False),
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        ("1", 1, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({}, [], False),
    ],
)
def test_values_are_equal_as_json(output, truth, is_match):
    assert Exact().compare(output, truth).match is is_match
    assert Exact().compare(truth, output).match is is_match


def test_a_comparison_says_how_it_was_made():
    assert Exact().compare("a", "a") == Comparison(match=True, similarity=1.0, method="exact")
    assert Exact().compare("a", "b") == Comparison(match=False, similarity=0.0, method="exact")


@pytest.mark.parametrize(
    ("output", "truth", "is_match"),
    [
        ({"label": "a", "score": 1}, {"label": "a", "score": 2}, True),
        ({"label": "a", "score": 1}, {"label": "a"}, True),
        ({"label": "a"}, {"label": "b"}, False),
        ({"meta": {"at": 1, "by": "x"}}, {"meta": {"at": 2, "by": "x"}}, True),
        ({"meta": {"at": 1, "by": "x"}}, {"meta": {"at": 1, "by": "y"}}, False),
        ({"items": [{"id": 1}, {"id": 2}]}, {"items": [{"id": 7}, {}]}, True),
        ({"items": [{"id": 1}]}, {"items": []}, False),
        ({"at": 1}, {"at": 2}, False),
        ({"meta.at": 1}, {"meta.at": 2}, True),
    ],
)
def test_ignored_fields_do_not_count_on_either_side(output, truth, is_match):
    exact = Exact(ignore=frozenset({"score", "meta.at", "items.id"}))

    assert exact.compare(output, truth).match is is_match


@pytest.mark.parametrize(
    ("output", "truth", "is_match"),
    [
        (1.0, 1.01, True),
        (1.0, 1.011, False),
        (100, 100.01, True),
        ({"total": [3.999]}, {"total": [4]}, True),
        ("1.0", "1.01", False),
        (0.005, False, False),
    ],
)
def test_numbers_may_differ_by_the_tolerance(output, truth, is_match):
    assert Exact(tolerance=0.01).compare(output, truth).match is is_match


@given(JSON)
def test_every_value_equals_itself(value):
    assert Exact().compare(value, value).match


@given(JSON, JSON)
def test_any_two_values_compare_the_same_both_ways(one, other):
    exact = Exact(ignore=frozenset({"a"}), tolerance=0.1)

    assert exact.compare(one, other) == exact.compare(other, one)


def test_a_deeply_nested_value_is_compared_to_its_end():
    shallow, deep = "a", "b"
    for _ in range(5_000):
        shallow, deep = [shallow], [deep]

    assert not Exact().compare(shallow, deep).match
    assert Exact().compare(deep, deep).match


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("output", "truth", "similarity"),
    [
        ("New  York\nCity", "new york city", 1.0),
        ("colour", "color", 10 / 11),
        ("ham", "spam", 4 / 7),
        ("", "", 1.0),
        ("", "something", 0.0),
        ({"a": "same", "b": "colour"}, {"b": "color", "a": "same"}, 10 / 11),
        (["a", "b"], ["a"], 0.0),
        ({"a": "x"}, {"b": "x"}, 0.0),
        (1, 1.0, 1.0),
        (1, 2, 0.0),
        (True, 1, 0.0),
        ("1", 1, 0.0),
        (None, {}, 0.0),
    ],
)
def test_fuzzy_is_as_similar_as_the_least_similar_part(output, truth, similarity):
    for one, other in ((output, truth), (truth, output)):
        assert Fuzzy().compare(one, other).similarity == pytest.approx(similarity)


def test_fuzzy_matches_from_the_threshold_on():
    matches = [Fuzzy(threshold=t).compare("colour", "color").match for t in (0.9, 10 / 11, 0.92)]

    assert matches == [True, True, False]


def test_fuzzy_obeys_ignored_fields_and_tolerance():
    fuzzy = Fuzzy(ignore=frozenset({"items.id"}), tolerance=0.01)
    output = {"items": [{"id": 1, "name": "Colour", "price": 1.005}]}
    truth = {"items": [{"name": "color", "price": 1.0}]}

    assert fuzzy.compare(output, truth) == Comparison(
        match=True, similarity=pytest.approx(10 / 11), method="fuzzy"
    )


def test_fuzzy_takes_long_texts_word_by_word():
    words = [f"word{number}" for number in range(20_000)]

    compared = Fuzzy().compare(" ".join(words), " ".join([*words[:-1_000], *words[1_000:2_000]]))

    assert compared.similarity == pytest.approx(0.95)


@given(JSON, JSON)
def test_fuzzy_is_symmetric_bounded_and_no_stricter_than_exact(output, truth):
    one, other = Fuzzy().compare(output, truth), Fuzzy().compare(truth, output)

    assert one == other
    assert 0 <= one.similarity <= 1
    assert one.match == (one.similarity >= 0.9)
    if Exact().compare(output, truth).match:
        assert one == Comparison(match=True, similarity=1.0, method="fuzzy")


@given(JSON)
def test_fuzzy_never_fails_on_values_nested_deeper_than_python_calls(value):
    for _ in range(2_000):
        value = [value]

    assert Fuzzy().compare(value, value).match
    assert Exact().compare(without(value, frozenset({"a"})), without(value, frozenset({"a"}))).match


@given(JSON, st.frozensets(st.text(max_size=3), max_size=3))
def test_what_is_left_out_is_what_does_not_count(value, ignore):
    before = copy.deepcopy(value)

    left = without(value, ignore)

    assert Exact(ignore=ignore).compare(value, left).match
    assert value == before
    if isinstance(value, dict):
        assert left.keys() == value.keys() - ignore
