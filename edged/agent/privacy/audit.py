"""Keep a local account of everything that left: what, when, in which mode, how many bytes.

Runs in: the agent. Talks to: state/audit. Never: writes content, or lets a sender go on when the
account could not be written.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import orjson

from edged.agent.privacy.modes import Mode
from edged.agent.privacy.scrubbing import Erasure
from edged.datasets.dayfile import DayFile
from edged.datasets.layout import Layout
from edged.datasets.records import Timestamps
from edged.errors import LogUnwritable

_DAY_S = 86_400
What = Literal["sample", "validation", "counts", "decision", "reason", "oracle_call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One thing that is about to leave. destination: `home`, or the host of an oracle."""

    what: What
    mode: Mode
    size_bytes: int
    destination: str = "home"
    execution_id: str = ""
    erased: tuple[Erasure, ...] = ()


class AuditLog:
    """state/audit/<date>.jsonl, appended before sending. clock: seconds since the epoch.

    A file is open while it is appended to and no longer: an idle agent keeps no disk from being
    mounted anew.
    """

    def __init__(self, layout: Layout, clock: Callable[[], float]) -> None:
        self._folder = layout.state / "audit"
        self._clock = clock
        self._timestamps = Timestamps()
        self._date = ""  # of the last file; it does not go back when the clock does, by up to a day

    def append(self, things: Iterable[Sent]) -> None:
        """Write one line for each, in one write. Raises LogUnwritable: then do not send."""
        now_s = self._clock()
        when = self._timestamps.text(now_s)
        lines = b"".join(_line(thing, when) for thing in things)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with closing(DayFile.open(self._folder, self._day(now_s))) as file:
                file.append(lines)
        except OSError as error:
            raise LogUnwritable(reason=error.strerror, path=self._folder) from error

    def _day(self, now_s: float) -> str:
        """Return the file's date; one further ahead than tomorrow was begun by a wrong clock."""
        today, tomorrow = _date(now_s), _date(now_s + _DAY_S)
        if not today <= self._date <= tomorrow:
            self._date = today
        return self._date


def _date(now_s: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(now_s))


def _line(thing: Sent, when: str) -> bytes:
    kinds = Counter(str(erasure.kind) for erasure in thing.erased)
    entry = {
        "when": when,
        "what": thing.what,
        "execution_id": thing.execution_id,
        "destination": thing.destination,
        "mode": str(thing.mode),
        "erased": dict(sorted(kinds.items())),
        "bytes": thing.size_bytes,
    }
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
