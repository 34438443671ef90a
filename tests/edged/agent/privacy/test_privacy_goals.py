import json

import pytest

from edged.agent.privacy.detection import find
from edged.agent.privacy.spans import Kind
from tests.edged.agent.privacy.made_up import Maker

RECORDS = 400
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


def is_found(text: str, secret: str, kind: Kind) -> bool:
    """Say whether one span covers the secret, without the word that names it."""
    number = secret.split(" ", 1)[1] if secret[0] in "Scmpt" and kind in NAMED else secret
    number = number.removeprefix("me on ")
    start = text.index(number)
    return any(
        span.kind == kind and span.start <= start and start + len(number) <= span.end
        for span in find(text)
    )


NAMED = {Kind.SSN, Kind.PHONE}
