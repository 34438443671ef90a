"""Decide which files of the logs are archived and which go: by age, then by size, oldest first.

Pure. Used by: the agent's retention, which carries it out. Never: lets go of what somebody still
has to read or home has not acknowledged, unless the size limit forces it; then it says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from edged.datasets.layout import KINDS
from edged.datasets.naming import LogName

JUMP_S = 3600.0  # a difference above this to the time that passed is a jump
SETTLING_S = 3600.0  # NTP and people mend a wrong clock within this
_DAY_S = 86_400
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """keep_days: by kind of file. max_bytes: of the whole data_dir."""

    keep_days: Mapping[str, int]
    compress_after_days: int
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file. kind: of log, or `analytics` and such. is_open: a writer may append to it.

    is_acknowledged: every follower is past its end, and home has what was told of it.
    """

    path: Path
    task: str
    kind: str
    name: LogName
    size_bytes: int
    is_open: bool = False
    is_acknowledged: bool = True

    def age_days(self, today: date) -> int:
        """Return how many days ago its day was; negative for one that lies ahead."""
        return (today - date.fromisoformat(self.name.date)).days


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, oldest first. forced: deleted although it is not acknowledged."""

    delete: list[StoredFile] = field(default_factory=list)
    archive: list[StoredFile] = field(default_factory=list)
    forced: list[StoredFile] = field(default_factory=list)
    excess_bytes: int = 0
    """Over the limit even then: what is open, and what is no log."""


def plan(files: Iterable[StoredFile], rules: Rules, today: date, other_bytes: int = 0) -> Plan:
    """Return what is due. other_bytes: of the data_dir, beside these files."""
    closed: list[StoredFile] = []
    delete: list[StoredFile] = []
    total = other_bytes
    for file in sorted(files, key=lambda file: file.name):
        if not file.is_open and file.is_acknowledged and _is_expired(file, rules, today):
            delete.append(file)
            continue
        total += file.size_bytes
        if not file.is_open:
            closed.append(file)
    freed = _until_it_fits((file for file in closed if file.is_acknowledged), total, rules)
    total -= sum(file.size_bytes for file in freed)
    forced = _until_it_fits((file for file in closed if not file.is_acknowledged), total, rules)
    total -= sum(file.size_bytes for file in forced)
    archive = [file for file in closed if file not in freed and _is_due(file, rules, today)]
    excess_bytes = max(0, total - rules.max_bytes)
    return Plan(delete + freed, archive, forced, excess_bytes)


def _is_expired(file: StoredFile, rules: Rules, today: date) -> bool:
    return file.age_days(today) > rules.keep_days[file.kind]


def _is_due(file: StoredFile, rules: Rules, today: date) -> bool:
    is_old = file.age_days(today) >= rules.compress_after_days
    is_log = file.kind in KINDS and file.path.suffix == ".jsonl"
    return is_old and is_log and file.is_acknowledged


def _until_it_fits(files: Iterable[StoredFile], total: int, rules: Rules) -> list[StoredFile]:
    """Return the first files whose going brings the total under the limit."""
    going = []
    for file in files:
        if total <= rules.max_bytes:
            break
        going.append(file)
        total -= file.size_bytes
    return going


class SteadyDay:
    """Today, as far as a clock can be believed: after a jump it must hold before anything goes.

    A clock that is set a year ahead by mistake would otherwise take every log with it.
    """

    def __init__(self, believed_s: float, monotonic_s: float) -> None:
        self.believed_s = believed_s  # the time when the clock last told no jump
        self._monotonic_s = monotonic_s
        self._distrusted_until_s: float | None = None  # monotonic

    def today(self, now_s: float, monotonic_s: float) -> date:
        """Return the day to judge ages by. Both clocks in seconds; now_s since the epoch."""
        expected_s = self.believed_s + monotonic_s - self._monotonic_s
        if abs(now_s - expected_s) <= JUMP_S:
            self._believe(now_s, monotonic_s)
        elif self._distrusted_until_s is None:
            self._distrusted_until_s = monotonic_s + SETTLING_S
        elif monotonic_s >= self._distrusted_until_s:
            self._believe(now_s, monotonic_s)
        believed_s = self.believed_s + monotonic_s - self._monotonic_s
        return date.fromordinal(_EPOCH + int(believed_s // _DAY_S))

    def _believe(self, now_s: float, monotonic_s: float) -> None:
        self.believed_s, self._monotonic_s = now_s, monotonic_s
        self._distrusted_until_s = None
