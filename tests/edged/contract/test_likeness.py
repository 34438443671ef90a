from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from edged.contract import likeness as module
from edged.contract.likeness import LONG, likeness

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
LONGER = 3 * LONG


def words(number: int, seed: int = 1, *, known: int = 2_000) -> list[str]:
    """Return words as texts have them: some often, most seldom."""
    source = Random(seed)
    return [f"w{int(known ** source.random())}" for _ in range(number)]


def word(length: int, seed: int = 1) -> str:
    return "".join(Random(seed).choices(ALPHABET, k=length))


@pytest.mark.parametrize("other", ["\n" * (LONG + 1), " ", "", " " * (LONG + 1)])
def test_texts_of_white_space_are_alike(other):
    assert likeness(" " * (LONG + 1), other) == likeness(other, " " * (LONG + 1)) == 1.0


def test_white_space_is_not_like_a_text():
    assert likeness(" " * (LONG + 1), "text") == 0.0


@pytest.mark.parametrize("change", ["", "x", "xyz", "some more characters"])
def test_a_long_word_that_differs_in_one_place_is_nearly_the_same(change):
    one = word(LONGER)
    other = one[:5_000] + change + one[5_001:20_000] + one[20_001:]

    assert 0.995 < likeness(one, other) < 1


def test_a_long_word_of_one_character_is_like_a_longer_one():
    assert likeness("a" * LONGER, "a" * (LONGER + 100)) > 0.99


def test_long_texts_in_another_order_are_not_the_same():
    text = words(6_000, known=10**6)
    other = Random(2).sample(text, len(text))

    assert likeness(" ".join(text), " ".join(other)) < 0.2


def edited(text: list[str], edits: int, seed: int) -> list[str]:
    """Take words out, put others in or in their place, here and there and at one place many."""
    source, edited = Random(seed), list(text)
    for _ in range(edits):
        at, size = source.randrange(len(edited)), source.randrange(4)
        edited[at : at + size] = words(source.randrange(4), source.randrange(10**6))
    at = source.randrange(len(edited))
    edited[at:at] = words(1_000, seed)
    return edited


@pytest.mark.parametrize("seed", range(5))
def test_edits_all_over_a_long_text_are_found_in_its_windows(seed):
    text = words(20_000, seed)
    other = edited(text, 400, seed)
    best = Indel.normalized_similarity(text, other)

    found = likeness(" ".join(text), " ".join(other))

    assert best - 0.005 < found <= best + 1e-9


@given(st.lists(st.sampled_from("abc"), max_size=80), st.lists(st.sampled_from("abc"), max_size=80))
@settings(max_examples=300)
def test_windows_never_keep_more_than_the_best_edit(one, other):
    best = Indel.normalized_similarity(one, other) * (len(one) + len(other)) / 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WINDOW", 16)
        patch.setattr(module, "_BELIEVED", 8)

        kept = module._kept(one, other)

    assert 0 <= kept <= best + 1e-9
    if one == other:
        assert kept == len(one)


@pytest.mark.parametrize("seed", range(5))
def test_long_texts_are_as_alike_both_ways(seed):
    one, other = words(5_000, seed), words(7_000, seed + 1)

    assert likeness(" ".join(one), " ".join(other)) == likeness(" ".join(other), " ".join(one))
