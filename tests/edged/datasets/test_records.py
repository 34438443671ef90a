import json

from edged.datasets.records import Execution, Timestamps, render

FULL = Execution(
    execution_id="0197",
    task="spam",
    version=2,
    arm="stable",
    input_json=b'{"text":"hi"}',
    output_json=b'"ham"',
    latency_ms=0.21,
    confidence=0.75,
    routing_key="user-1",
)


def test_a_line_has_the_specified_keys_in_their_order():
    line = render(FULL, "2026-11-23T10:00:00.123Z")

    assert line == (
        b'{"execution_id":"0197","input":{"text":"hi"},"output":"ham","latency_ms":0.21,'
        b'"timestamp":"2026-11-23T10:00:00.123Z","task":"spam","version":2,"arm":"stable",'
        b'"status":"success","confidence":0.75,"routing_key":"user-1"}\n'
    )


def test_an_output_stands_byte_for_byte_as_the_program_gave_it():
    spaced = Execution(
        execution_id="1",
        task="t",
        version=1,
        arm="stable",
        input_json=b"1",
        output_json=b'{"a":1.0}',
    )

    line = render(spaced, "")

    assert b'"output":{"a":1.0},' in line


def test_a_failure_tells_its_error_and_who_cut_it():
    failed = Execution(
        execution_id="1",
        task="t",
        version=1,
        arm="stable",
        input_json=b"1",
        status="timeout",
        error_type="Timeout",
        error_message="too long",
        is_cut_by_caller=True,
    )

    document = json.loads(render(failed, ""))

    assert document["output"] is None
    assert document["error"] == {"type": "Timeout", "message": "too long", "cut_by": "caller"}


def test_timestamps_are_utc_with_milliseconds():
    timestamps = Timestamps()

    texts = [timestamps.text(now_s) for now_s in (0.0, 0.9996, 1_795_428_000.25)]

    assert texts == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.999Z",
        "2026-11-23T10:00:00.250Z",
    ]
