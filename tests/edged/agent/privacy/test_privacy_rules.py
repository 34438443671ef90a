import orjson
import pytest

from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.making import make_filter
from edged.agent.privacy.modes import Mode
from edged.deployment import Deployment

KEY = b"k" * KEY_BYTES
LABELS = {"enum": ["ham", "spam"]}
INPUT = {
    "customer": {"name": "Ann", "age": 41},
    "items": [{"note": "fragile", "n": 1}, {"note": "blue", "n": 2}],
    "ref": "K-123456 and ann@example.com",
}


def privacy(mode: str = "balanced", **settings: object) -> PrivacyFilter:
    document = {"telemetry": {"privacy_mode": mode}, "privacy": settings}
    return make_filter(Deployment.model_validate(document), KEY)


def released(filter_: PrivacyFilter, value: object = INPUT) -> tuple[object, list[str]]:
    record = filter_.release(orjson.dumps(value), None, {})
    return orjson.loads(record.input_json or b"null"), [str(each) for each in record.erased]


def test_fields_are_dropped_hashed_and_masked_and_named():
    rules = {"$.customer.name": "hash", "$..note": "mask", "$.items[0].n": "drop"}

    value, erased = released(privacy(fields=rules))

    assert value["customer"]["name"].startswith("hash:")
    assert len(value["customer"]["name"]) == len("hash:") + 32
    assert value["items"] == [{"note": "***"}, {"note": "***", "n": 2}]
    assert erased[:4] == [
        "input.customer.name HASH",
        "input.items[0].note MASK",
        "input.items[0].n DROP",
        "input.items[1].note MASK",
    ]


def test_a_field_that_holds_more_fields_goes_as_a_whole():
    value, _ = released(privacy(fields={"$.customer": "drop", "$.items": "mask"}))

    assert set(value) == {"items", "ref"}
    assert value["items"] == "***"


def test_hashes_are_equal_for_equal_values_and_need_the_key():
    rules = {"$.a": "hash", "$.b": "hash"}
    value, _ = released(privacy(fields=rules), {"a": "Ann", "b": "Ann"})
    document = {"privacy": {"fields": rules}}
    elsewhere = make_filter(Deployment.model_validate(document), b"x" * KEY_BYTES)

    assert value["a"] == value["b"]
    assert released(elsewhere, {"a": "Ann"})[0]["a"] != value["a"]


def test_an_input_that_is_dropped_whole_is_null():
    assert released(privacy(fields={"input": "drop"}), "Ann") == (None, ["input DROP"])


@pytest.mark.parametrize("mode", ["balanced", "permissive"])
def test_rules_hold_in_every_mode_that_sends_text(mode):
    value, erased = released(privacy(mode, fields={"$.customer.name": "drop"}))

    assert "name" not in value["customer"]
    assert "input.customer.name DROP" in erased


def test_rules_hold_without_detection():
    value, erased = released(privacy(pii_detection=False, fields={"$.ref": "mask"}), {"ref": "x"})

    assert (value, erased) == ({"ref": "***"}, ["input.ref MASK"])


def test_a_customers_pattern_is_erased_under_its_name():
    value, erased = released(privacy(patterns={"customer_number": r"K-\d{6}"}))

    assert value["ref"] == "[CUSTOMER_NUMBER] and [EMAIL]"
    assert erased == ["input.ref CUSTOMER_NUMBER", "input.ref EMAIL"]


def test_of_a_pattern_with_a_group_the_group_is_erased():
    value, _ = released(privacy(patterns={"desk": r"desk (\w+)"}), "sits at desk nine")

    assert value == "sits at desk [DESK]"


def test_where_a_field_is_taken_out_no_errors_text_may_quote_it():
    reason = privacy(fields={"$.customer.name": "drop"}).reason("ValueError: no Ann here")

    assert reason == "ValueError"


def test_a_floor_keeps_patterns_and_rules():
    strictest = privacy("permissive", patterns={"k": "K-1"}, fields={"$.a": "drop"})

    value, _ = released(strictest.with_floor(Mode.BALANCED), {"a": 1, "b": "K-1"})

    assert value == {"b": "[K]"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"patterns": {"Bad-Name": "x"}}, "lower-case"),
        ({"patterns": {"a": "("}}, "missing"),
        ({"patterns": {"a": "x*"}}, "everywhere"),
        ({"patterns": {"a": "x" * 1001}}, "longer"),
        ({"fields": {"customer.name": "drop"}}, "must begin with"),
        ({"fields": {"$.a": "burn"}}, "drop"),
        ({"records_per_sec": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_in_words(settings, said):
    with pytest.raises(ValueError, match=said):
        Deployment.model_validate({"privacy": settings})


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("path", ["output", "$"])
def test_a_rule_takes_out_a_label_of_the_enum_too(mode, path):
    ruled = privacy(mode, fields={path: "drop"})

    output = ruled.release_output(b'"spam"', LABELS)

    assert (output.index, output.json) == (None, None if mode is Mode.STRICT else b"null")
    assert output.hash == privacy(mode).release_output(b'"spam"', LABELS).hash
    assert ruled.output_name(b'"spam"', LABELS) == output.hash.hex()


def test_a_rule_of_another_place_leaves_labels_alone():
    output = privacy(fields={"$.name": "drop", "input": "drop"}).release_output(b'"spam"', LABELS)

    assert (output.index, output.json, output.erased) == (1, b'"spam"', ())


def test_patterns_hold_without_detection():
    value, _ = released(
        privacy(pii_detection=False, patterns={"badge": r"\b\d{5}\b"}), {"n": 12345}
    )

    assert value == {"n": "[BADGE]"}
