import pytest

from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.scrubbing import MAX_DEPTH, scrub


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
