import pytest

from edged.contract.schema import Schema, SchemaInvalid

TEXT = Schema(
    {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 5},
            "items": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["text"],
    }
)


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({}, "input", '"text" is a required property'),
        ({"text": 1}, "input.text", "type"),
        ({"text": "secret-secret"}, "input.text", "longer than 5"),
        ({"text": "a", "items": [1, "b"]}, "input.items[1]", "integer"),
        ([], "input", "object"),
    ],
)
def test_a_breach_names_the_field_and_never_the_value(value, field, reason):
    breach = TEXT.breach(value, root="input")

    assert breach is not None
    assert breach.field == field
    assert reason in breach.reason
    assert "secret" not in breach.reason


def test_a_fitting_value_has_no_breach():
    value = {"text": "abc", "more": True}

    assert TEXT.breach(value, root="input") is None
    assert TEXT.is_satisfied_by(value)


@pytest.mark.parametrize(
    "document",
    [
        {"type": "objekt"},
        {"$ref": "http://127.0.0.1/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"pattern": "(?<=a)b"},
    ],
)
def test_an_unusable_schema_is_refused(document):
    with pytest.raises(SchemaInvalid):
        Schema(document)
