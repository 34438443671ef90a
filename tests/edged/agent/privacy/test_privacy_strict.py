"""Strict, held to its word: nothing it returns holds a trace of a text it was given."""

import base64
import hashlib
import html
import urllib.parse
from dataclasses import asdict

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.modes import Mode

STRICT = PrivacyFilter(Mode.STRICT, bytes(range(32)))
LETTERS = st.characters(codec="utf-8", categories=["L", "N", "P"])
# Not an identifier: Hypothesis knows our constants, and `ValueError` is a name reasons may say.
MARKERS = st.text(LETTERS, min_size=6, max_size=24).filter(lambda text: not text.isidentifier())
SCHEMA = {"enum": ["ham", "spam"]}


def traces(marker: str) -> list[bytes]:
    """Return the marker as it may look in a message: raw, escaped, encoded, or hashed openly."""
    raw = marker.encode()
    texts = [
        repr(marker)[1:-1],
        html.escape(marker),
        urllib.parse.quote(marker),
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("=")[:-1],
        orjson.dumps(marker).decode()[1:-1],
        marker[::-1],
        hashlib.sha256(raw).hexdigest(),
        hashlib.sha256(orjson.dumps(marker)).hexdigest(),
    ]
    digests = [hashlib.sha256(raw).digest(), hashlib.sha256(orjson.dumps(marker)).digest()]
    return [raw, *(text.encode() for text in texts), *digests]


def everything(released: object) -> bytes:
    """Return all of a released record as bytes, hashes raw and in hex."""
    fields = asdict(released)
    raw = b"\0".join(value for value in fields.values() if isinstance(value, bytes))
    return raw + repr(fields).encode() + raw.hex().encode()


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(MARKERS)
def test_no_trace_of_a_text_is_in_what_is_released(marker):
    value = {"text": f"before {marker} after", marker: [marker, {"deep": marker}]}

    released = STRICT.release(orjson.dumps(value), orjson.dumps(marker), SCHEMA)
    name = STRICT.output_name(orjson.dumps(marker), SCHEMA)

    sent = everything(released) + name.encode()
    assert [trace for trace in traces(marker) if trace in sent] == []


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(MARKERS)
def test_no_trace_of_a_text_is_in_a_reason(marker):
    texts = [
        marker,
        f"ValueError: {marker}",
        f"{marker}: ValueError",
        f"Traceback\n  {marker}\n{marker}\nKeyError: {marker!r}",
        f"{marker}\n{marker}",
    ]
    errors = [*texts, ValueError(marker), KeyError(marker), OSError(2, marker, marker)]

    said = " ".join(STRICT.reason(error) for error in errors).encode()

    assert [trace for trace in traces(marker) if trace in said] == []


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(MARKERS)
def test_no_trace_of_a_text_is_in_a_refusal(marker):
    broken = [marker.encode() + b"{", b'{"a": "' + marker.encode(), b'"' + marker.encode() * 50_000]

    for source in broken:
        try:
            STRICT.release(source, None, SCHEMA)
        except Withheld as withheld:
            said = repr(withheld).encode() + repr(withheld.facts).encode()
            assert [trace for trace in traces(marker) if trace in said] == []
        else:
            assert orjson.loads(source) is not None  # made of digits, it may be JSON after all
