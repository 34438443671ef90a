import pytest

from controlplane.improvement.contest import chance_of, compare


@pytest.mark.parametrize(
    ("wins", "losses", "is_better"),
    [(0, 0, False), (4, 0, False), (5, 0, True), (8, 1, True), (8, 4, False), (3, 9, False)],
)
def test_only_a_shown_difference_wins(wins, losses, is_better):
    candidate = [True] * 20 + [True] * wins + [False] * losses
    incumbent = [True] * 20 + [False] * wins + [True] * losses

    result = compare(candidate, incumbent)

    assert result.is_better is is_better
    assert (result.only_candidate, result.only_incumbent) == (wins, losses)
    assert (result.candidate_right, result.incumbent_right) == (20 + wins, 20 + losses)


def test_chance_is_that_of_a_fair_coin():
    assert chance_of(5, 5) == pytest.approx(1 / 32)
    assert chance_of(0, 7) == 1
    assert chance_of(0, 0) == 1


def test_result_says_what_happened():
    assert (
        "right on 6 of 6 sealed rows, the incumbent on 0" in compare([True] * 6, [False] * 6).words
    )
