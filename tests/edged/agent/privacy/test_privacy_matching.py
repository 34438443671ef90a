import pytest

from edged.agent.privacy.matching import Match

RECORD = {
    "execution_id": "4711-4711",
    "input": {"text": "I am Ann Lee <ann@example.com>", "customer": {"id": 4711}, "tags": ["x1z"]},
    "output": {"said": "hello Bee"},
}


@pytest.mark.parametrize(
    "written",
    [
        *("ann@example.com", "ANN LEE", "4711", "x1z", "customer", "hello bee"),
        *("$.customer.id=4711", "input.customer.id=4711", "output.said=hello Bee", "$..id=4711"),
        "$.tags[0]=x1z",
    ],
)
def test_a_subject_is_found_wherever_it_is_spoken_of(written):
    assert Match.parse(written).is_in(RECORD)


@pytest.mark.parametrize(
    "written",
    [
        "bob@example.com",
        "$.customer.id=471",
        "output.customer.id=4711",
        "$.said=hello",
        "4711-4711",
    ],
)
def test_others_are_not_it(written):
    assert not Match.parse(written).is_in(RECORD)


def test_truths_speak_of_it_too():
    assert Match.parse("ann lee").is_in({"truth": {"name": "Ann Lee"}})
    assert Match.parse("output.name=Ann Lee").is_in({"oracle_output": {"name": "Ann Lee"}})


@pytest.mark.parametrize("written", ["user-4711", "no such user: ann@example.com"])
def test_the_routing_key_and_an_errors_message_speak_of_it_too(written):
    error = {"type": "KeyError", "message": "no such user: Ann@example.com"}
    record = {"input": 1, "routing_key": "user-4711", "error": error}

    assert Match.parse(written).is_in(record)


@pytest.mark.parametrize("written", ["message", "KeyError", "$.message=gone", "$..type=KeyError"])
def test_what_the_edge_itself_says_of_an_error_does_not(written):
    record = {"input": 1, "error": {"type": "KeyError", "message": "gone"}}

    assert not Match.parse(written).is_in(record)


@pytest.mark.parametrize("written", ["", "a", "  a ", "$.a[=x"])
def test_a_match_that_fits_too_much_or_nothing_is_refused(written):
    with pytest.raises(ValueError, match=r"at least|not understood"):
        Match.parse(written)


@pytest.mark.parametrize("written", ["$.phone=", "$.phone= ", "$.phone", "input.a[0]", "$..a"])
def test_a_path_needs_a_value(written):
    with pytest.raises(ValueError, match=r"a path needs a value, as in '[^=]+=VALUE'"):
        Match.parse(written)


def test_a_text_may_begin_like_a_path():
    assert Match.parse("$100").is_in({"input": "it cost $100"})
