import pytest

from edged.agent.privacy.detection import Pattern
from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.forms import Form
from edged.agent.privacy.scrubbing import MAX_DEPTH, Erasure, Scrubbing, scrub, told


def test_what_is_erased_is_named_by_path_and_kind_and_nothing_else():
    value = {"notes": ["fine", {"contact": "ann@example.com or 415-555-0132"}], "n": 3}

    clean, erased = scrub(value, root="input")

    assert clean == {"notes": ["fine", {"contact": "[EMAIL] or [PHONE]"}], "n": 3}
    assert [str(erasure) for erasure in erased] == [
        "input.notes[1].contact EMAIL",
        "input.notes[1].contact PHONE",
    ]


def test_the_value_that_was_given_is_left_as_it_was():
    value = {"a": ["ann@example.com"]}

    scrub(value)

    assert value == {"a": ["ann@example.com"]}


def test_whole_numbers_are_read_like_text_beside_their_key():
    value = {"card": 4111111111111111, "phone": 4155550132, "ssn": 36904399.0, "order": 4155550132}

    clean, _ = scrub(value)

    assert clean == {"card": "[CARD]", "phone": "[PHONE]", "ssn": "[SSN]", "order": 4155550132}


def test_measurements_and_small_numbers_stay_numbers():
    value = [0.4532015112830366, 1.5, -3, 0, True, None, 1e300, 1_700_000_000_000]

    assert scrub(value) == (value, ())


def test_a_key_is_erased_and_members_stay_apart():
    value = {"ann@example.com": 1, "bob@example.com": 2, "[EMAIL]": 3}

    clean, erased = scrub(value)

    assert sorted(clean.values()) == [1, 2, 3]
    assert not any("@" in key for key in clean)
    assert not any("@" in erasure.path for erasure in erased)


def test_a_list_and_a_generic_key_take_the_name_above_them():
    value = {"phones": [4155550132, "5550132"], "mobile": {"value": "5550132"}}

    clean, _ = scrub(value)

    assert clean == {"phones": ["[PHONE]", "[PHONE]"], "mobile": {"value": "[PHONE]"}}


def test_text_scrubbed_twice_is_the_text_scrubbed_once():
    once, _ = scrub("call 415-555-0132, mail ann@example.com, pay 4111 1111 1111 1111")

    assert scrub(once) == (once, ())


def test_nesting_is_bounded():
    value: object = "deep"
    for _ in range(MAX_DEPTH + 1):
        value = [value]

    with pytest.raises(Withheld) as withheld:
        scrub(value)

    assert withheld.value.reason == "too_deep"


def test_what_is_not_json_is_refused():
    with pytest.raises(TypeError):
        scrub({"a": (1, "ann@example.com")})


def test_every_number_is_read_by_patterns_and_below_a_secrets_name():
    desk = Scrubbing(
        patterns=(Pattern("DESK", Form(r"\b\d{5}\b")), Pattern("RATIO", Form(r"\b0\.5\b")))
    )

    clean, erased = scrub({"employee": 12345, "share": 0.5, "n": 1234, "w": 12345.0}, how=desk)

    assert clean == {"employee": "[DESK]", "share": "[RATIO]", "n": 1234, "w": "[DESK]"}
    assert [each.kind for each in erased] == ["DESK", "RATIO", "DESK"]
    assert scrub({"password": 123456, "pin": 123456})[0] == {"password": "[SECRET]", "pin": 123456}


def test_without_detection_patterns_are_looked_for_all_the_same():
    how = Scrubbing(detect=False, patterns=(Pattern("DESK", Form(r"D-\d+")),))

    clean, _ = scrub({"D-1": "D-2", "mail": "ann@example.com", "password": "x"}, how=how)

    assert clean == {"[DESK]": "[DESK]", "mail": "ann@example.com", "password": "x"}


def test_a_secrets_name_holds_through_keys_that_say_little():
    clean, _ = scrub(
        {"password": {"value": "hunter", "text": ["two", 3]}, "colour": {"value": "b"}}
    )

    assert clean == {
        "password": {"value": "[SECRET]", "text": ["[SECRET]", "[SECRET]"]},
        "colour": {"value": "b"},
    }


def test_below_a_long_key_paths_are_cut():
    key = "k" * 10_000

    _, erased = scrub({key: ["a@b.co"] * 3}, root="input")

    assert [len(str(each)) for each in erased] == [166] * 3


def test_a_record_says_no_more_of_erasures_than_home_keeps():
    erased = [Erasure(path=f"input[{n}]", kind="EMAIL") for n in range(1_000)]

    once = told(erased)
    again = told(erased[:5], once)

    assert (len(once), once[0], once[-1]) == (100, "input[0] EMAIL", "and 901 more")
    assert (len(again), again[-1]) == (100, "and 906 more")
    assert told(erased[:2]) == ["input[0] EMAIL", "input[1] EMAIL"]
