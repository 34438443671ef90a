import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.contract.compare import Comparison, Exact

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
