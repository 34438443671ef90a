"""What a benchmark with a promise makes its exit code of."""

import pytest

from scripts.support.bench import programs


@pytest.mark.parametrize(
    ("identical", "worst_ratio", "is_good"),
    [(True, 1.1, True), (True, 1.3, True), (True, 1.31, False), (False, 1.0, False)],
)
def test_programs_answer_as_plain_python_and_take_at_most_1_3_times_its_time(
    identical, worst_ratio, is_good
):
    report = {"programs": [], "identical": identical, "worst_ratio": worst_ratio}

    assert programs.is_good(report) is is_good
