import pytest

from controlplane.generator.intervals import simplest_as_good, wilson


def test_interval_agrees_with_published_values():
    # Newcombe 1998, table I: 81 of 263.
    low, high = wilson(81, 263)

    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_all_right_is_not_certainty():
    low, high = wilson(30, 30)

    assert low == pytest.approx(0.8865, abs=1e-4)
    assert high == 1.0


def test_no_rows_say_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_simpler_is_kept_within_one_standard_error():
    marks = {"rule": [True] * 98 + [False] * 2, "ml": [True] * 97 + [False] + [True] * 2}

    assert simplest_as_good(marks) == "rule"


def test_simpler_is_dropped_beyond_one_standard_error():
    marks = {"rule": [True] * 95 + [False] * 5, "ml": [True] * 100}

    assert simplest_as_good(marks) == "ml"


def test_slack_forgives_a_sure_but_small_difference():
    marks = {"words": [True] * 996 + [False] * 4, "characters": [True] * 1000}

    assert simplest_as_good(marks) == "characters"
    assert simplest_as_good(marks, slack=0.005) == "words"


def test_equal_marks_go_to_the_simpler():
    marks = {"rule": [True, False], "ml": [False, True]}

    assert simplest_as_good(marks) == "rule"
