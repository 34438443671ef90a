import errno
import traceback

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.filter import MAX_BYTES, REASON_CHARS, PrivacyFilter
from edged.agent.privacy.modes import Mode, tighter
from edged.errors import DigestMismatch

KEY = bytes(range(32))
LABELS = {"enum": ["ham", "spam", True, 1]}
FREE = {"type": "string"}


def privacy(mode: Mode, **settings: bool) -> PrivacyFilter:
    return PrivacyFilter(mode, KEY, **settings)


@pytest.mark.parametrize("a", Mode)
@pytest.mark.parametrize("b", Mode)
def test_two_modes_meet_in_the_tighter_one(a, b):
    order = [Mode.STRICT, Mode.BALANCED, Mode.PERMISSIVE]

    assert tighter(a, b) == tighter(b, a) == order[min(order.index(a), order.index(b))]


def test_strict_releases_hashes_and_the_index_of_a_known_output():
    released = privacy(Mode.STRICT).release(b'{"text":"hello"}', b'"spam"', LABELS)

    assert (released.input_json, released.output_json, released.erased) == (None, None, ())
    assert released.output_index == 1
    assert len(released.input_hash) == 32


def test_strict_releases_another_output_as_a_hash_alone():
    released = privacy(Mode.STRICT).release(b'"x"', b'"hello"', FREE)

    assert (released.output_json, released.output_index) == (None, None)
    assert released.output_hash is not None


def test_an_index_needs_the_same_value_not_an_equal_one():
    strict = privacy(Mode.STRICT)

    indexes = [strict.release_output(text, LABELS).index for text in (b"true", b"1", b"0", b" 1 ")]

    assert indexes == [2, 3, None, 3]


def test_balanced_releases_text_without_personal_data():
    released = privacy(Mode.BALANCED).release(
        b'{"text": "I am ann@example.com", "n": 1}', b'{"mail": "ann@example.com"}', {}
    )

    assert released.input_json == b'{"text":"I am [EMAIL]","n":1}'
    assert released.output_json == b'{"mail":"[EMAIL]"}'
    assert [e.path for e in released.erased] == ["input.text", "output.mail"]


def test_balanced_leaves_an_output_of_the_schema_alone():
    released = privacy(Mode.BALANCED).release_output(b'"10.0.0.1"', {"enum": ["10.0.0.1"]})

    assert (released.json, released.index, released.erased) == (b'"10.0.0.1"', 0, ())


def test_of_two_members_with_one_key_only_the_one_that_was_read_leaves():
    released = privacy(Mode.BALANCED).release(
        b'{"a":"ann@example.com","a":"b"}', b'{"a":"x@example.com","a":1}', {"enum": [{"a": 1}]}
    )

    assert (released.input_json, released.output_json) == (b'{"a":"b"}', b'{"a":1}')


def test_balanced_with_hashed_inputs_releases_outputs_only():
    released = privacy(Mode.BALANCED, hash_inputs=True).release(b'"hi"', b'"there"', FREE)

    assert (released.input_json, released.output_json) == (None, b'"there"')


def test_balanced_without_detection_releases_text_as_it_is():
    released = privacy(Mode.BALANCED, detect=False).release(b'"ann@example.com"', None, FREE)

    assert released.input_json == b'"ann@example.com"'
    assert released.output_hash is None


def test_permissive_releases_the_bytes_that_were_logged():
    released = privacy(Mode.PERMISSIVE).release(b'{ "a" : "ann@example.com" }', b" 1.0 ", FREE)

    assert released.input_json == b'{ "a" : "ann@example.com" }'
    assert released.output_json == b" 1.0 "


def test_hashes_are_of_the_value_and_need_the_key():
    strict = privacy(Mode.STRICT)
    other = PrivacyFilter(Mode.STRICT, bytes(32))

    first = strict.release(b'{"a":1,"b":2}', b'{"a":1,"b":2}', FREE)
    again = strict.release(b'{ "b": 2, "a": 1 }', None, FREE)

    assert first.input_hash == again.input_hash
    assert first.input_hash != other.release(b'{"a":1,"b":2}', None, FREE).input_hash
    assert first.input_hash != first.output_hash


def test_a_released_record_loses_its_text_when_home_tightens():
    released = privacy(Mode.BALANCED).release(b'"ann@example.com"', b'"spam"', LABELS)

    assert released.without_text() == privacy(Mode.STRICT).release(
        b'"ann@example.com"', b'"spam"', LABELS
    )


def test_a_floor_tightens_and_never_loosens():
    assert privacy(Mode.BALANCED).with_floor(Mode.STRICT).mode is Mode.STRICT
    assert privacy(Mode.BALANCED).with_floor(Mode.PERMISSIVE).mode is Mode.BALANCED
    assert (
        not privacy(Mode.PERMISSIVE, hash_inputs=True)
        .with_floor(Mode.BALANCED)
        .permits_egress_to("https://oracle.example")
    )


def test_outputs_are_counted_by_index_or_hash_in_every_mode():
    names = {privacy(mode).output_name(b'"spam"', LABELS) for mode in Mode}
    others = {privacy(mode).output_name(b'"ann@example.com"', LABELS) for mode in Mode}

    assert names == {"1"}
    assert [len(name) for name in others] == [64]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b'"' + b"a" * MAX_BYTES + b'"', "too_large"),
        (b'{"a": ', "malformed"),
        (b"[" * 2_000 + b"]" * 2_000, "malformed"),
        (b'"\xff"', "malformed"),
    ],
)
def test_what_cannot_be_read_is_withheld(mode, source, reason):
    for input_json, output_json in ((source, None), (b"1", source)):
        with pytest.raises(Withheld) as withheld:
            privacy(mode).release(input_json, output_json, FREE)

        assert withheld.value.reason == reason


@pytest.mark.parametrize("mode", [Mode.STRICT, Mode.BALANCED])
def test_what_is_nested_too_deeply_is_withheld(mode):
    source = b"[" * 300 + b"]" * 300

    with pytest.raises(Withheld):
        privacy(mode).release(source, None, FREE)


def test_a_failure_inside_is_withheld_without_its_cause():
    unreadable = {"a": {"number": {str(17_000 + 1)}}}

    with pytest.raises(Withheld) as withheld:
        privacy(Mode.BALANCED).scrub(unreadable)

    assert withheld.value.reason == "filter_failed"
    assert "17001" not in "".join(traceback.format_exception(withheld.value))


def test_a_text_that_no_detector_can_read_is_withheld():
    with pytest.raises(Withheld):
        privacy(Mode.BALANCED).scrub("lone \ud800 surrogate 1")


def test_a_key_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        PrivacyFilter(Mode.STRICT, b"short")


@pytest.mark.parametrize("settings", [(Mode.STRICT, False), (Mode.BALANCED, True)])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("ValueError: could not convert 'marker'", "ValueError"),
        ("Traceback (most recent call last):\n  marker\nKeyError: 'marker'", "KeyError"),
        ("output_schema: the output breaks the schema at marker", "output_schema"),
        ("marker: ValueError", "withheld"),
        ("marker", "withheld"),
        ("", "withheld"),
        (ValueError("marker"), "ValueError"),
        (DigestMismatch(expected="marker", actual="marker"), "digest_mismatch"),
    ],
)
def test_where_no_input_leaves_a_reason_is_a_known_name(settings, error, said):
    mode, hash_inputs = settings

    assert privacy(mode, hash_inputs=hash_inputs).reason(error) == said


def test_in_balanced_a_reason_is_scrubbed_before_it_is_cut():
    text = "x" * (REASON_CHARS - 5) + " ann@example.com"

    reason = privacy(Mode.BALANCED).reason(ValueError(text))

    assert reason.startswith("ValueError: xx")
    assert len(reason) == REASON_CHARS
    assert "ann" not in reason


@pytest.mark.parametrize("mode", [Mode.BALANCED, Mode.PERMISSIVE])
def test_of_an_error_of_the_disk_no_path_is_said(mode):
    full = OSError(errno.ENOSPC, "No space left on device", "/srv/ann/state")

    assert privacy(mode).reason(full) == "OSError: No space left on device"
    assert privacy(mode).reason(TimeoutError()) == "TimeoutError"


def test_in_balanced_a_reason_that_cannot_be_scrubbed_is_not_said():
    assert privacy(Mode.BALANCED).reason("lone \ud800 surrogate 1") == "withheld"


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:9000/label", True),
        ("http://localhost/label", True),
        ("https://[::1]:9000", True),
        ("http://127.0.0.1@oracle.example/", False),
        ("http://localhost.oracle.example", False),
        ("https://oracle.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_strict_asks_oracles_on_this_machine_only(url, is_here):
    assert privacy(Mode.STRICT).permits_egress_to(url) is is_here
    assert privacy(Mode.BALANCED).permits_egress_to(url)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    "url",
    ["", "oracle.example", "file:///x", "http://", "http://127.0.0.1\\@x.example", "http://[1"],
)
def test_an_address_that_can_be_misread_is_refused_in_every_mode(mode, url):
    assert not privacy(mode).permits_egress_to(url)


def test_an_oracle_beyond_this_machine_sees_what_home_would_see():
    balanced, source = privacy(Mode.BALANCED), b'{"t": "ann@example.com"}'

    away, erased = balanced.release_to("https://oracle.example", source)
    here, _ = balanced.release_to("http://127.0.0.1:9000", source)

    assert (away, here) == (b'{"t":"[EMAIL]"}', source)
    assert [str(e) for e in erased] == ["input.t EMAIL"]
    with pytest.raises(Withheld):
        privacy(Mode.STRICT).release_to("https://oracle.example", source)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(JSON, JSON)
def test_every_mode_releases_or_withholds_any_json(given_input, given_output):
    input_json, output_json = orjson.dumps(given_input), orjson.dumps(given_output)

    for mode in Mode:
        released = privacy(mode).release(input_json, output_json, FREE)
        assert (released.input_json is None) == (mode is Mode.STRICT)
        assert released.input_json is None or orjson.loads(released.input_json) is not Ellipsis
