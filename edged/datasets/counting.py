"""Count the execution log into daily statistics, from where the last count ended.

Runs in: the agent, a few times a minute, and in `edged datasets`, which saves nothing.
Talks to: the execution log, analytics/. Never: counts a line twice.
"""

from collections.abc import Callable
from dataclasses import replace

from edged.datasets.archives import read_lines, stored_files
from edged.datasets.follower import Follower
from edged.datasets.layout import Layout
from edged.datasets.naming import LogName
from edged.datasets.statistics import Statistics, StatisticsFiles


class DayCounter:
    """Follows all tasks' executions. Days are kept in memory until `save`."""

    def __init__(self, layout: Layout) -> None:
        self._files = StatisticsFiles(layout)
        self._follower = Follower(layout, "executions", {})
        self._days: dict[tuple[str, str], Statistics] = {}  # task, date → unsaved
        self._saved: dict[str, int] = {}  # positions on disk
        self._layout = layout
        self._load()

    def count(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Add what is new; `is_over` ends it between two chunks."""
        for chunk in self._follower.read():
            if is_over():
                return
            day = self._day(chunk.task, _date(chunk.key))
            day.add_lines(chunk.lines)
            day.positions[chunk.key] = chunk.end
            self._follower.commit(chunk)

    def save(self) -> None:
        """Write every day that changed. Raises OSError; what is not written stays unsaved."""
        for (task, date), statistics in list(self._days.items()):
            self._files.write(task, date, statistics)
            self._saved.update(statistics.positions)
            del self._days[task, date]

    def forget_outputs(self, task: str, is_gone: Callable[[str], bool]) -> None:
        """Let outputs' names go from all of a task's days, as `save` does on disk too."""
        unsaved = {date for each, date in self._days if each == task}
        for date in unsaved | self._files.dates(task):
            statistics = self._days.get((task, date)) or self._files.read(task, date)
            if statistics.forget_outputs(is_gone):
                self._days[task, date] = statistics
        self.save()

    def acknowledged(self, kind: str, _task: str, key: str) -> int | None:
        """Return up to where a file is counted on disk; see edged.agent.retention."""
        return self._saved.get(key, 0) if kind == "executions" else None

    taken = acknowledged

    def forget(self, kind: str, key: str) -> None:
        if kind == "executions":
            self._follower.positions.pop(key, None)
            self._saved.pop(key, None)

    def _load(self) -> None:
        """Go on after what the files of statistics say, for all that is still followed."""
        for key in self._follower.ends():
            task = key.partition("/")[0]
            position = self._files.read(task, _date(key)).positions.get(key)
            if position is not None:
                self._follower.positions[key] = self._saved[key] = position

    def _day(self, task: str, date: str) -> Statistics:
        statistics = self._days.get((task, date))
        if statistics is None:
            statistics = self._days[task, date] = self._files.read(task, date)
        return statistics


def statistics_of(layout: Layout, task: str, since: str) -> dict[str, Statistics]:
    """Return a task's statistics by date, exact as of now, from a date on; saves nothing.

    Raises OSError or LogUnreadable.
    """
    files = StatisticsFiles(layout)
    days: dict[str, Statistics] = {}
    for name, path in stored_files(layout, task, "executions"):
        if name.date < since:
            continue
        if name.date not in days:
            days[name.date] = files.read(task, name.date)
        day, key = days[name.date], f"{task}/{replace(name, is_archive=False)}"
        if not name.is_archive or key not in day.positions:  # an archive without: from a backup
            day.add_lines(read_lines(path, layout.keyring, day.positions.get(key, 0)))
    return days


def _date(key: str) -> str:
    name = LogName.parse(key.partition("/")[2])
    if name is None:
        raise AssertionError("a follower reads files with a date")
    return name.date
