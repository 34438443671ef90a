import orjson
import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.records import execution_record, validation_record
from edged.agent.refiltering import refilter
from edged.contract.fields import Action, Rule
from tests.edged.agent.lines import LINE

KEY = b"k" * KEY_BYTES


def privacy(mode: Mode, **settings: object) -> PrivacyFilter:
    return PrivacyFilter(mode, KEY, **settings)


def sealed(under: PrivacyFilter, schema: object = None) -> wire.TelemetryBatch:
    execution, _ = execution_record(LINE, under, schema or {})
    return wire.TelemetryBatch(
        log_id="l",
        number=7,
        arms=[wire.ArmSummary(task="free", executions=9)],
        executions=[execution],
        validations=[validation_record(LINE, under, schema or {})],
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


@pytest.mark.parametrize("mode", [Mode.BALANCED, Mode.STRICT])
def test_a_new_rule_takes_labels_out_of_what_was_sealed_before(mode):
    rule = Rule.parse("output", Action.DROP)
    labels = {"enum": [LINE["output"], LINE["oracle_output"]]}
    batch = sealed(privacy(mode), labels)
    assert (batch.executions[0].output_index, batch.validations[0].oracle_output_index) == (0, 1)

    refilter(batch, privacy(mode, rules=(rule,)))

    [execution], [validation] = batch.executions, batch.validations
    dropped = b"" if mode is Mode.STRICT else b"null"
    assert not execution.HasField("output_index")
    assert not validation.HasField("oracle_output_index")
    assert (execution.output_json, validation.oracle_output_json) == (dropped, dropped)


def test_a_label_that_no_rule_takes_out_stays():
    rule = Rule.parse("$.name", Action.DROP)
    batch = sealed(privacy(Mode.BALANCED), {"enum": [LINE["output"]]})

    refilter(batch, privacy(Mode.BALANCED, rules=(rule,)))

    assert batch.executions[0].output_index == 0
    assert orjson.loads(batch.executions[0].output_json) == LINE["output"]


def test_what_is_erased_again_adds_up_to_what_home_keeps():
    batch = sealed(privacy(Mode.BALANCED, rules=(Rule.parse("$.text", Action.MASK),)))
    del batch.executions[0].erased[:]
    batch.executions[0].erased.extend([*(f"input[{n}] EMAIL" for n in range(99)), "and 5 more"])

    refilter(batch, privacy(Mode.BALANCED, rules=(Rule.parse("$.name", Action.DROP),)))

    assert list(batch.executions[0].erased[98:]) == ["input[98] EMAIL", "and 6 more"]
