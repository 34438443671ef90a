"""Lines of the logs as messages of the link, with no more of them than a filter released.

Pure. Used by: the releaser and the preview. Never: decides what may leave, or sends it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from loopai.control.v1 import link_pb2 as wire

from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.released import Released
from edged.agent.privacy.scrubbing import told
from edged.contract.schema import JsonSchema

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def execution_record(
    line: Mapping[str, Any], privacy: PrivacyFilter, schema: JsonSchema
) -> tuple[wire.ExecutionSummary, Released]:
    """Return a line of the execution or the validation log as it may leave. Raises Withheld."""
    output = None if line["output"] is None else orjson.dumps(line["output"])
    released = privacy.release(orjson.dumps(line["input"]), output, schema)
    summary = wire.ExecutionSummary(
        execution_id=line["execution_id"],
        task=line["task"],
        version=line["version"],
        arm=line["arm"],
        executed_at=timestamp(line.get("executed_at") or line["timestamp"]),
        latency_ms=line.get("latency_ms") or 0.0,
        outcome=line["status"],
        is_sampled=bool(line.get("channel")),
        confidence=line.get("confidence"),
        channel=line.get("channel", ""),
        inclusion_probability=line.get("inclusion_probability") or 0.0,
    )
    put_released(summary, released)
    return summary, released


def put_released(summary: wire.ExecutionSummary, released: Released) -> None:
    """Put what may leave into a summary, in place of what is there."""
    summary.input_hash = released.input_hash
    summary.input_json = released.input_json or b""
    summary.output_json = released.output_json or b""
    summary.output_hash = released.output_hash or b""
    del summary.erased[:]
    summary.erased.extend(told(released.erased))
    if released.output_index is not None:
        summary.output_index = released.output_index


def validation_record(
    line: Mapping[str, Any], privacy: PrivacyFilter, schema: JsonSchema
) -> wire.Validation:
    """Return a line of the validation log as it may leave. Raises Withheld."""
    validation = wire.Validation(
        validation_id=line["id"],
        execution_id=line["execution_id"],
        task=line["task"],
        version=line["version"],
        arm=line["arm"],
        validated_at=timestamp(line["validated_at"]),
        oracle=line["oracle"],
        oracle_cost=line["oracle_cost"],
        oracle_latency_ms=line["oracle_latency_ms"],
        is_match=line["match"],
        similarity_score=line["similarity_score"],
        comparison_method=line["comparison_method"],
        channel=line["channel"],
        inclusion_probability=line["inclusion_probability"] or 0.0,
        outcome=line["status"],
    )
    if line["oracle_output"] is not None:
        truth = privacy.release_output(orjson.dumps(line["oracle_output"]), schema)
        validation.oracle_output_json = truth.json or b""
        validation.oracle_output_hash = truth.hash
        validation.erased.extend(told(truth.erased))
        if truth.index is not None:
            validation.oracle_output_index = truth.index
    return validation


def timestamp(text: str) -> Timestamp:
    since_us = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    return Timestamp(seconds=since_us // 1_000_000, nanos=since_us % 1_000_000 * 1000)
