"""What a telemetry batch may say, and what is left out of it."""

from datetime import UTC, datetime

import pytest
from loopai.control.v1 import link_pb2 as pb

from controlplane.link.telemetry_codec import MAX_EVIDENCE_BYTES, batch

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def read(**parts):
    return batch(pb.TelemetryBatch(log_id="log", number=1, **parts), received_at=NOW)


def validation(**facts):
    known = {"execution_id": "e", "task": "spam", "version": 1, "outcome": "success"}
    return pb.Validation(**known | facts)


def test_strict_validation_brings_its_verdict_and_no_text():
    (found,) = read(
        validations=[validation(oracle_output_index=0, is_match=True, channel="audit")]
    ).validations

    assert (found.is_match, found.channel, found.oracle_output_index) == (True, "audit", 0)
    assert found.oracle_output_json is None


def test_numbers_that_are_none_become_harmless():
    (found,) = read(
        validations=[validation(inclusion_probability=7, oracle_cost=float("nan"))]
    ).validations

    assert (found.inclusion_probability, found.oracle_cost) == (0.0, 0.0)


@pytest.mark.parametrize(
    "facts", [{"outcome": "splendid"}, {"task": ""}, {"execution_id": "x" * 37}]
)
def test_one_bad_validation_is_left_out_and_the_batch_still_counts(facts):
    found = read(validations=[validation(**facts), validation()])

    assert len(found.validations) == 1


def test_evidence_comes_whole_or_not_at_all():
    known = {"decision_id": "d", "rollout_id": "r", "task": "spam"}
    small = pb.Decision(**known, evidence_json=b'[{"n": 4}]')
    large = pb.Decision(**known, evidence_json=b"[" + b" " * MAX_EVIDENCE_BYTES + b"]")

    found = read(decisions=[small, large]).decisions

    assert [each.evidence_json for each in found] == ['[{"n": 4}]', "[]"]


def test_batch_names_every_task_that_it_speaks_of():
    arm = pb.ArmSummary(task="a", arm="stable", version=1)
    decision = pb.Decision(decision_id="d", rollout_id="r", task="c")

    assert read(arms=[arm], validations=[validation()], decisions=[decision]).tasks == {
        "a",
        "spam",
        "c",
    }
