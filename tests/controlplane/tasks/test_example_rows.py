import orjson
import pytest

from controlplane.tasks.rows import Fault, Reading, from_values, parse
from controlplane.tasks.specification import Example
from edged.contract.schema import Schema

PLAIN = Reading()


def test_row_with_input_and_output_is_taken_as_it_is():
    parsed = from_values([{"input": "2 + 2", "output": 4}], PLAIN)

    assert parsed.rows == [Example(input_json='"2 + 2"', output_json="4")]
    assert not parsed.faults


def test_label_is_the_output_and_the_other_fields_are_the_input():
    parsed = parse(b'{"text": "win!", "label": "spam"}\n', "jsonl", PLAIN)

    assert parsed.rows == [Example(input_json='{"text":"win!"}', output_json='"spam"')]


def test_named_field_is_the_output_although_there_is_a_label():
    row = {"text": "win!", "label": "x", "kind": "spam"}

    parsed = from_values([row], Reading(label_field="kind"))

    assert orjson.loads(parsed.rows[0].input_json) == {"text": "win!", "label": "x"}
    assert parsed.rows[0].output_json == '"spam"'


def test_csv_follows_the_same_rule_and_keeps_line_breaks_in_cells():
    content = b'text,label\r\n"two\r\nlines",ham\r\n'

    parsed = parse(content, "csv", PLAIN)

    assert orjson.loads(parsed.rows[0].input_json) == {"text": "two\r\nlines"}


def test_every_bad_line_is_named_by_number_and_field():
    lines = [
        b'{"text": "a", "label": "x"}',
        b'{"text": "b"}',
        b"",
        b"{broken",
        b"[1]",
        b'{"text": "c", "label": ""}',
        b'{"label": "x"}',
    ]

    parsed = parse(b"\n".join(lines), "jsonl", PLAIN)

    assert [(fault.line, fault.field) for fault in parsed.faults] == [
        (2, "label"),
        (4, "the row"),
        (5, "the row"),
        (6, "label"),
        (7, "input"),
    ]


def test_csv_row_of_another_length_is_named():
    parsed = parse(b"text,label\na,x\nb\n", "csv", PLAIN)

    assert [(fault.line, fault.field) for fault in parsed.faults] == [(3, "the row")]


@pytest.mark.parametrize(
    ("content", "form", "field"),
    [
        (b'{"no": "list"}', "json", "the body"),
        (b"[1,", "json", "the body"),
        (b"text,text\na,b\n", "csv", "the header"),
        (b"text,label\n\xff\xfe,a\n", "csv", "the body"),
        (b"", "csv", "the header"),
    ],
)
def test_body_that_is_no_document_is_one_fault(content, form, field):
    parsed = parse(content, form, PLAIN)

    assert [fault.field for fault in parsed.faults] == [field]


def test_row_that_breaks_a_given_schema_is_named_by_its_inner_field():
    schema = Schema({"properties": {"text": {"type": "string"}}})

    parsed = from_values([{"text": 3, "label": "x"}], Reading(input_schema=schema))

    assert parsed.faults[0].field == "input.text"


def test_fault_never_repeats_what_the_customer_wrote():
    schema = Schema({"enum": ["spam", "ham"]})

    parsed = from_values([{"text": "t", "label": "sekrit"}], Reading(output_schema=schema))

    assert isinstance(parsed.faults[0], Fault)
    assert "sekrit" not in str(parsed.faults[0])


def test_same_row_with_fields_in_another_order_is_the_same_example():
    first = from_values([{"a": 1, "b": 2, "label": "x"}], PLAIN)
    second = from_values([{"label": "x", "b": 2, "a": 1}], PLAIN)

    assert first.rows == second.rows
