"""What an agent says of how its tasks fare."""

import orjson

from edged.agent.reporting import failure_rate


def validation(identifier: str, *, match: bool, version: int = 1) -> bytes:
    line = {"id": identifier, "version": version, "match": match, "inclusion_probability": 0.1}
    return orjson.dumps(line)


def test_a_validation_that_was_written_twice_counts_once_in_the_failure_rate():
    lines = [validation("a", match=True), *[validation("b", match=False)] * 3]

    rate = failure_rate(lines, {1})

    assert (rate["labels"], rate["estimate"]) == (2, 0.5)


def test_without_validations_of_the_serving_versions_there_is_no_failure_rate():
    assert failure_rate([validation("a", match=True, version=2), b"{"], {1}) is None
