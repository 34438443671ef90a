from controlplane.generator.features import (
    MAX_CHARACTERS,
    features_of,
    word_and_character_features,
    word_features,
)

ONE_TEXT = (("text", ""),)


def test_words_pairs_and_shape_are_read():
    found = word_features("WIN £500 at http://a.example NOW")

    assert {"win", "£", "#3", "=500", "@link", "@link now", "@start win", "now @end"} <= found
    assert {"@money", "@shouted 2", "@length 6", "@digits 2"} <= found


def test_long_words_are_also_read_by_their_beginning():
    assert word_features("refunding refunds") & word_features("refunded") >= {"refu-"}
    assert "help-" not in word_features("help")


def test_character_runs_come_on_top_of_words():
    text = "refund me"

    found = word_and_character_features(text)

    assert word_features(text) < found
    assert {"efun", "efund", "d me "} <= found


def test_text_beyond_the_limit_is_not_read():
    text = "a" * MAX_CHARACTERS + " refund"

    assert "refund" not in word_features(text)


def test_fields_are_told_apart_by_their_prefix():
    fields = (("body", "body: "), ("subject", "subject: "))

    found = features_of({"subject": "refund", "body": "hello"}, fields, word_features)

    assert {"subject: refund", "body: hello"} <= found
    assert "refund" not in found


def test_numbers_and_truth_values_are_features():
    fields = (("urgent", "urgent: "), ("amount", "amount: "))

    found = features_of({"urgent": True, "amount": -5}, fields, word_features)

    assert found == {"urgent: is True", "amount: is -5", "amount: about -3"}


def test_what_is_missing_unknown_or_no_object_is_empty():
    assert features_of({"other": "x"}, ONE_TEXT, word_features) == set()
    assert features_of({"text": None}, ONE_TEXT, word_features) == set()
    assert features_of([1, 2], ONE_TEXT, word_features) == set()
    assert features_of({"text": float("inf")}, ONE_TEXT, word_features) == set()
