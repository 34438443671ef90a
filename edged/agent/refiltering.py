"""Filter a sealed batch again, under its number: privacy was tightened since it was sealed.

Pure. Used by: the session, right before a batch is sent. Never: adds what an earlier filter took
out; a record that cannot be filtered again is left out and counted.
"""

from collections.abc import Iterable

from loopai.control.v1 import link_pb2 as wire

from edged.agent.open_batch import MODES
from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.modes import Mode
from edged.agent.privacy.scrubbing import Erasure, told
from edged.contract.schema import JsonSchema

NO_SCHEMA: JsonSchema = {}


def refilter(batch: wire.TelemetryBatch, privacy: PrivacyFilter) -> None:
    """Take out of a batch what this filter would not have let into it."""
    batch.privacy_mode = MODES[privacy.mode]
    kept = [each for each in batch.executions if _keep_execution(each, batch, privacy)]
    ids = {each.execution_id for each in kept}
    validations = [
        each
        for each in batch.validations
        if each.execution_id in ids and _keep_validation(each, batch, privacy)
    ]
    del batch.executions[:], batch.validations[:]
    batch.executions.extend(kept)
    batch.validations.extend(validations)
    for decision in batch.decisions:
        if decision.evidence_json in (b"", b"[]", b"{}", b"null"):
            decision.reason = privacy.reason(decision.reason)


def _keep_execution(
    record: wire.ExecutionSummary, batch: wire.TelemetryBatch, privacy: PrivacyFilter
) -> bool:
    if not (privacy.sends_unsampled or record.is_sampled):
        batch.dropped["full log in a stricter mode"] += 1
        return False
    try:
        if record.input_json:
            released = privacy.release(record.input_json, None, NO_SCHEMA)
            record.input_json = released.input_json or b""
            _note(record, released.erased, "input")
        if record.HasField("output_index") and privacy.rules_out(record.output_json):
            record.ClearField("output_index")
        if record.output_json and not record.HasField("output_index"):
            output = privacy.release_output(record.output_json, NO_SCHEMA)
            record.output_json = output.json or b""
            _note(record, output.erased, "output")
    except Withheld as withheld:
        batch.dropped[f"withheld: {withheld.reason}"] += 1
        return False
    if privacy.mode is Mode.STRICT:
        record.output_json = b""
        del record.erased[:]
    return True


def _keep_validation(
    record: wire.Validation, batch: wire.TelemetryBatch, privacy: PrivacyFilter
) -> bool:
    try:
        if record.HasField("oracle_output_index") and privacy.rules_out(record.oracle_output_json):
            record.ClearField("oracle_output_index")
        if record.oracle_output_json and not record.HasField("oracle_output_index"):
            truth = privacy.release_output(record.oracle_output_json, NO_SCHEMA)
            record.oracle_output_json = truth.json or b""
            _say(record, told(truth.erased, record.erased))
    except Withheld as withheld:
        batch.dropped[f"withheld: {withheld.reason}"] += 1
        return False
    if privacy.mode is Mode.STRICT:
        record.oracle_output_json = b""
        del record.erased[:]
    return True


def _note(record: wire.ExecutionSummary, erased: Iterable[Erasure], root: str) -> None:
    """Add to what was erased before; a text that no longer leaves names nothing."""
    text = record.input_json if root == "input" else record.output_json
    before = [entry for entry in record.erased if text or not entry.startswith(root)]
    _say(record, told(erased, before))


def _say(record: wire.ExecutionSummary | wire.Validation, entries: list[str]) -> None:
    del record.erased[:]
    record.erased.extend(entries)
