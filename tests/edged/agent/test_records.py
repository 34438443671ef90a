"""Lines of the logs as messages: how much a record may say of what was erased."""

from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.records import execution_record, validation_record
from tests.edged.agent.lines import LINE

PRIVACY = PrivacyFilter(Mode.BALANCED, b"k" * KEY_BYTES)
MANY = {"k" * 10_000: ["a@b.co"] * 1_000}


def test_a_record_stays_small_however_much_was_erased():
    execution, released = execution_record({**LINE, "input": MANY, "output": MANY}, PRIVACY, {})

    assert len(released.erased) == 2_000
    assert len(execution.erased) == 100
    assert execution.erased[-1] == "and 1901 more"
    assert max(map(len, execution.erased)) <= 200


def test_a_validation_stays_small_too():
    validation = validation_record({**LINE, "oracle_output": MANY}, PRIVACY, {})

    assert (len(validation.erased), validation.erased[-1]) == (100, "and 901 more")
