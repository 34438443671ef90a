import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.agent.privacy.detection import find
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.privacy.spans import Kind
from tests.edged.agent.privacy.look_alikes import LookAlikes
from tests.edged.agent.privacy.made_up import Maker

RECORDS = 400
LOOK_ALIKES = 2_000
PLAIN_TEXT = ("trec6.test", "snips7.test", "snips7_slots.test", "clinc_domain10.test")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.PHONE])
def test_every_made_up_secret_is_covered_and_named(kind):
    maker = Maker(seed=7)
    secrets = [maker.of(kind)() for _ in range(RECORDS)]

    missed = [
        text for secret in secrets if not is_found(text := maker.sentence(secret), secret, kind)
    ]

    assert missed == []


def test_nine_of_ten_made_up_telephone_numbers_are_covered():
    maker = Maker(seed=7)
    secrets = [maker.phone() for _ in range(RECORDS)]

    count = sum(is_found(maker.sentence(secret), secret, Kind.PHONE) for secret in secrets)

    assert count >= 0.9 * RECORDS


@pytest.mark.parametrize("name", PLAIN_TEXT)
def test_of_real_text_without_personal_data_under_one_percent_is_altered(text_data, name):
    lines = (text_data / f"{name}.jsonl").read_bytes().split(b"\n")
    texts = [json.loads(line)["text"] for line in lines if line]

    altered = [text for text in texts if find(text, "text")]

    assert len(altered) < 0.01 * len(texts)


PRIVACY = PrivacyFilter(Mode.BALANCED, b"k" * KEY_BYTES)


def left(record: object) -> str:
    """Return a record as it leaves."""
    released = PRIVACY.release(orjson.dumps(record), None, {})
    return (released.input_json or b"").decode()


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.PHONE])
def test_no_made_up_secret_leaves_in_a_record(kind):
    maker = Maker(seed=11)
    secrets = [maker.of(kind)() for _ in range(RECORDS)]

    leaked = [secret for secret in secrets if core(secret, kind) in left(maker.record(secret))]

    assert leaked == []


def test_nine_of_ten_made_up_telephone_numbers_leave_in_no_record():
    maker = Maker(seed=11)
    secrets = [maker.phone() for _ in range(RECORDS)]

    leaked = [s for s in secrets if core(s, Kind.PHONE) in left(maker.record(s))]

    assert len(leaked) <= 0.1 * RECORDS


def test_no_made_up_number_leaves_as_a_number():
    maker = Maker(seed=11)
    records = [maker.numbers() for _ in range(RECORDS)]

    numbers = [orjson.loads(left(record)) for record in records]

    assert {number["payment"]["value"] for number in numbers} == {"[CARD]"}
    assert {number["people"][0]["ssn"] for number in numbers} == {"[SSN]"}


def test_of_records_full_of_look_alikes_under_one_percent_is_altered():
    look_alikes = LookAlikes(seed=5)
    records = [look_alikes.record() for _ in range(LOOK_ALIKES)]

    altered = [record for record in records if orjson.loads(left(record)) != record]

    assert len(altered) < 0.01 * LOOK_ALIKES, altered[:5]


# No vowels: words beside a number may mean something.
AROUND = st.text("bcdfghjkmnqrtwxz \u00e9\u6f22\u2603!?()\n", max_size=40)
BESIDE = st.sampled_from((" ", ", ", "; ", "\n", "\t", " ("))


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(st.integers(0, 2**32), AROUND, BESIDE, AROUND)
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.PHONE])
def test_a_secret_is_covered_whatever_surrounds_it(kind, seed, before, beside, behind):
    secret = Maker(seed).of(kind)()
    start = len(before + beside)

    spans = find(f"{before}{beside}{secret}{beside}{behind}")

    begin = start + secret.index(core(secret, kind))
    end = start + len(secret)
    assert any(span.start <= begin and end <= span.end for span in spans)


def is_found(text: str, secret: str, kind: Kind) -> bool:
    """Say whether one span covers the secret."""
    number = core(secret, kind)
    start = text.index(number)
    return any(
        span.kind == kind and span.start <= start and start + len(number) <= span.end
        for span in find(text)
    )


def core(secret: str, kind: Kind) -> str:
    """Return the secret without the word that names it."""
    number = secret.split(" ", 1)[1] if secret[0] in "Scmpt" and kind in NAMED else secret
    return number.removeprefix("me on ")


NAMED = {Kind.SSN, Kind.PHONE}
