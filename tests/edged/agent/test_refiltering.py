from datetime import UTC, datetime

import orjson
import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.records import execution_record, validation_record
from edged.agent.refiltering import refilter
from edged.contract.fields import Action, Rule

KEY = b"k" * KEY_BYTES
LINE = {
    "id": "v1",
    "execution_id": "e1",
    "task": "free",
    "version": 1,
    "arm": "stable",
    "input": {"text": "I am ann@example.com", "name": "Ann"},
    "output": {"said": "ann@example.com"},
    "oracle_output": "bob@example.com",
    "oracle": "http",
    "oracle_cost": 0.0,
    "oracle_latency_ms": 1.0,
    "match": False,
    "similarity_score": 0.0,
    "comparison_method": "exact",
    "channel": "audit",
    "inclusion_probability": 0.05,
    "status": "success",
    "executed_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    "validated_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
}


def privacy(mode: Mode, **settings: object) -> PrivacyFilter:
    return PrivacyFilter(mode, KEY, **settings)


def sealed(under: PrivacyFilter) -> wire.TelemetryBatch:
    execution, _ = execution_record(LINE, under, {})
    return wire.TelemetryBatch(
        log_id="l",
        number=7,
        arms=[wire.ArmSummary(task="free", executions=9)],
        executions=[execution],
        validations=[validation_record(LINE, under, {})],
    )


@pytest.mark.parametrize("before", [Mode.PERMISSIVE, Mode.BALANCED])
def test_made_strict_a_batch_is_what_strict_would_have_sealed(before):
    batch = sealed(privacy(before))

    refilter(batch, privacy(Mode.STRICT))

    strict = sealed(privacy(Mode.STRICT))
    strict.privacy_mode = wire.PRIVACY_MODE_STRICT
    assert batch == strict


def test_made_balanced_a_permissive_batch_loses_personal_data_and_names_it():
    batch = sealed(privacy(Mode.PERMISSIVE))

    refilter(batch, privacy(Mode.BALANCED))

    assert b"ann@" not in batch.SerializeToString()
    assert b"bob@" not in batch.SerializeToString()
    assert list(batch.executions[0].erased) == ["input.text EMAIL", "output.said EMAIL"]
    assert list(batch.validations[0].erased) == ["output EMAIL"]
    assert batch.number == 7
    assert batch.arms[0].executions == 9


def test_a_new_rule_reaches_what_was_sealed_before():
    rule = Rule.parse("$.name", Action.DROP)
    batch = sealed(privacy(Mode.BALANCED))

    refilter(batch, privacy(Mode.BALANCED, rules=(rule,)))

    assert orjson.loads(batch.executions[0].input_json) == {"text": "I am [EMAIL]"}
    assert list(batch.executions[0].erased) == [
        "input.text EMAIL",
        "output.said EMAIL",
        "input.name DROP",
    ]


def test_with_hashed_inputs_only_the_outputs_stay():
    batch = sealed(privacy(Mode.BALANCED))

    refilter(batch, privacy(Mode.BALANCED, hash_inputs=True))

    [execution] = batch.executions
    assert not execution.input_json
    assert orjson.loads(execution.output_json) == {"said": "[EMAIL]"}
    assert list(execution.erased) == ["output.said EMAIL"]


def test_an_execution_that_nobody_drew_does_not_leave_in_strict():
    batch = sealed(privacy(Mode.PERMISSIVE))
    batch.executions[0].is_sampled = False

    refilter(batch, privacy(Mode.STRICT))

    assert len(batch.executions) == len(batch.validations) == 0
    assert dict(batch.dropped) == {"full log in a stricter mode": 1}


@pytest.mark.parametrize(("sample_only", "kept"), [(True, 0), (False, 1)])
def test_an_execution_that_nobody_drew_leaves_in_balanced_only_without_sample_only(
    sample_only, kept
):
    batch = sealed(privacy(Mode.PERMISSIVE))
    batch.executions[0].is_sampled = False

    refilter(batch, privacy(Mode.BALANCED, sample_only=sample_only))

    assert len(batch.executions) == len(batch.validations) == kept


def test_what_cannot_be_filtered_again_is_left_out_and_counted():
    batch = sealed(privacy(Mode.PERMISSIVE))
    batch.executions[0].input_json = b'{"broken'

    refilter(batch, privacy(Mode.BALANCED))

    assert len(batch.executions) == len(batch.validations) == 0
    assert dict(batch.dropped) == {"withheld: malformed": 1}


def test_filters_are_told_apart_by_what_they_do():
    rule = Rule.parse("$.name", Action.DROP)
    filters = [
        privacy(Mode.BALANCED),
        privacy(Mode.STRICT),
        privacy(Mode.BALANCED, hash_inputs=True),
        privacy(Mode.BALANCED, detect=False),
        privacy(Mode.BALANCED, sample_only=False),
        privacy(Mode.BALANCED, rules=(rule,)),
    ]

    assert len({each.fingerprint for each in filters}) == len(filters)
    assert privacy(Mode.BALANCED).fingerprint == filters[0].fingerprint


def test_made_balanced_what_a_candidate_was_refused_for_is_scrubbed():
    batch = sealed(privacy(Mode.PERMISSIVE))
    batch.decisions.add(reason="KeyError: 'ann@example.com'", evidence_json=b"[]")
    batch.decisions.add(reason="errors 1.0 % against 0.0 %", evidence_json=b'[{"test": "errors"}]')

    refilter(batch, privacy(Mode.BALANCED))

    refused, shown = batch.decisions
    assert "ann" not in refused.reason
    assert refused.reason.startswith("KeyError: ")
    assert shown.reason == "errors 1.0 % against 0.0 %"
