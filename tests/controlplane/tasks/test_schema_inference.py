from hypothesis import given
from hypothesis import strategies as st

from controlplane.tasks import inference
from edged.contract.schema import Schema

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.floats(-1e6, 1e6)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_property_present_in_all_examples_is_required_and_others_are_permitted():
    values = [{"text": "a", "size": 1}, {"text": "b", "size": 2.5, "note": "x"}]

    schema = inference.input_schema(values)

    assert schema["required"] == ["text", "size"]
    assert schema["properties"]["size"] == {"type": "number"}
    assert Schema(schema).is_satisfied_by({"text": "c", "size": 1, "more": True})


def test_few_labels_become_an_enumeration():
    assert inference.output_schema(["spam", "ham", "spam"]) == {"enum": ["ham", "spam"]}


def test_many_distinct_outputs_become_a_type():
    assert inference.output_schema([str(n) for n in range(51)]) == {"type": "string"}


def test_true_and_one_are_two_labels():
    assert inference.output_schema([True, 1]) == {"enum": [True, 1]}


def test_no_examples_permit_everything():
    assert inference.input_schema([]) == {}
    assert inference.output_schema([]) == {}


@given(st.lists(JSON_VALUES, min_size=1, max_size=6))
def test_every_example_satisfies_the_schema_inferred_from_it(values):
    for schema in (inference.input_schema(values), inference.output_schema(values)):
        assert all(Schema(schema).is_satisfied_by(value) for value in values)
