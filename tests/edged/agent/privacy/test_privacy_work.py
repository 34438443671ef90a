"""No text may hold the agent up: what detection does grows with the text, whatever the text.

Work is counted, not timed: lines of Python that run, and characters copied out of a text that
counts them. What a regular expression does is not seen here.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from edged.agent.privacy.addresses import find_ips
from edged.agent.privacy.cards import find_cards
from edged.agent.privacy.credentials import find_secrets
from edged.agent.privacy.emails import find_emails
from edged.agent.privacy.harmless import cover_harmless
from edged.agent.privacy.ibans import find_ibans
from edged.agent.privacy.phones import find_named_phones, find_written_phones
from edged.agent.privacy.scrubbing import scrub
from edged.agent.privacy.spans import cover
from edged.agent.privacy.ssns import find_ssns

COPIED_CHARS = 64  # count as much as a line
ROOM = 1.3  # for what is begun once
DETECTORS = (
    *(find_secrets, cover_harmless, find_emails, find_ibans, find_cards, find_ips, find_ssns),
    *(find_written_phones, find_named_phones),
)
# Each is repeated: one row of numbers, one list, findings without end, near misses.
UNITS = (
    "4111\n",
    "4000 ",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 ",
    "4111 1111 1111 1111 ",
    "4111,1111,1111,1111;",
    "12-",
    "1.",
    "1:",
    "10.0.0.1 ",
    "fe80::1 ",
    "ann@example.com ",
    "ann [at] example [dot] com ",
    "git@a.b ",
    "DE89 3704 0044 0532 0130 00 ",
    "de89",
    "536-90-4399 ",
    "415-555-0132 x1 ",
    "\u2603 415-555-0132 x1 ",
    "020 7946 0958 25 GBP ",
    "call 4155550132, ",
    "key=abcd1234efgh5678ijkl ",
    "password: hunter2 ",
    "a://b:c@",
    "\\",
    "\\\\u0031",
)
REPEATED = 150


class Counted(str):
    """A text that counts what is copied out of it."""

    __slots__ = ()

    copied = 0

    def __getitem__(self, key: Any) -> str:
        return self._copy(super().__getitem__(key))

    def __add__(self, other: str) -> str:
        return self._copy(super().__add__(other))

    def encode(self, *how: Any, **named: Any) -> bytes:
        Counted.copied += len(self)
        return super().encode(*how, **named)

    @staticmethod
    def _copy(text: str) -> "Counted":
        Counted.copied += len(text)
        return Counted(text)


def work(act: Callable[[], object]) -> float:
    """Return how many lines ran, and how much was copied."""
    lines = 0

    def count(_frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal lines
        lines += 1
        return count

    Counted.copied, before = 0, sys.gettrace()
    sys.settrace(count)
    try:
        act()
    finally:
        sys.settrace(before)
    return lines + Counted.copied / COPIED_CHARS


def is_linear(act: Callable[[int], object]) -> bool:
    """Say whether four times as much costs no more than four times as much."""
    act(1)  # what is read or compiled once
    return work(lambda: act(4 * REPEATED)) < 4 * ROOM * work(lambda: act(REPEATED))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("detector", DETECTORS, ids=lambda each: each.__name__)
def test_a_detectors_work_grows_with_the_text(detector, unit):
    assert is_linear(lambda times: list(detector(Counted(unit * times))))


def test_covering_copies_a_text_once_however_much_was_found():
    def act(times: int) -> str:
        return cover(Counted("ab" * times), [(at, at + 1) for at in range(0, 2 * times, 2)])

    assert is_linear(act)


@pytest.mark.parametrize("unit", UNITS)
def test_the_work_of_a_whole_text_grows_with_it(unit):
    assert is_linear(lambda times: scrub({"text": unit * times}))


def test_keys_that_become_the_same_are_told_apart_at_once():
    local = "x" * 64  # longer than keys that are remembered

    def act(times: int) -> object:
        return scrub({f"{local}{n}@example.com": n for n in range(4 * times)})

    assert is_linear(act)


def test_a_long_key_is_not_read_again_for_each_value_below_it():
    def act(times: int) -> object:
        return scrub({"12-" * times: ["5"] * times})

    assert is_linear(act)
