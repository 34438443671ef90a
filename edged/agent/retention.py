"""Keep the data_dir within what deployment.yaml allows: archive, delete by age, delete by size.

And remove what a kill left half-written. Runs in: the agent; the files are worked on in a thread.
Talks to: the logs, their followers, two files in state. Never: touches what a writer holds.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final, Literal, Protocol

import orjson
import structlog

from edged.datasets.archives import archive, count_lines
from edged.datasets.dayfile import DayFile
from edged.datasets.forced import ForcedNotes
from edged.datasets.inventory import inventory, other_bytes
from edged.datasets.layout import Layout
from edged.datasets.retention import Plan, Rules, SteadyDay, StoredFile, plan
from edged.deployment.keeping import Retention as RetentionSettings
from edged.deployment.keeping import Storage
from edged.errors import LogUnreadable
from edged.files import remove_leftovers, write_whole

log = structlog.get_logger()
FIRST_SWEEP_S: Final = 2.0  # the followers have told by then how far they are
SWEEP_INTERVAL_S: Final = 20.0
LEFTOVER_S: Final = 3600.0  # no file takes longer to be written
REMEMBER_S: Final = 600.0  # much less than what counts as a jump
_GB: Final = 10**9


class Followed(Protocol):
    """Whoever follows logs. key: "task/file". None: it does not follow that log."""

    def acknowledged(self, kind: str, task: str, key: str) -> int | None:
        """Return up to where a file may be forgotten."""

    def taken(self, kind: str, task: str, key: str) -> int | None:
        """Return up to where a file was read, and what came of it is safe or underway."""

    def forget(self, kind: str, key: str) -> None:
        """Drop the position in a file that is there no more."""


def rules_of(storage: Storage, retention: RetentionSettings) -> Rules:
    """Return what the settings ask for; `retention` wins for what it names."""
    executions, rest = retention.executions.keep_days, storage.retention_days
    return Rules(
        keep_days={
            "executions": executions,
            "validations": retention.validations.keep_days,
            "outcomes": rest,
            "decisions": rest,
            "analytics": rest,
            "audit": rest,
        },
        compress_after_days=retention.executions.compress_after,
        max_bytes=int(storage.max_size_gb * _GB),
    )


class Retention:
    """Sweeps a few times a minute. clock: seconds since the epoch; monotonic: seconds.

    chores: done on the loop before each sweep, such as letting go of the agent's own files of past
    days.
    """

    def __init__(
        self,
        layout: Layout,
        rules: Rules,
        followers: Sequence[Followed],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        *,
        chores: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._layout = layout
        self._rules = rules
        self._followers = followers
        self._clock = clock
        self._monotonic = monotonic
        self._chores = chores
        self._forced = ForcedNotes(layout)
        self._clock_path = layout.state / "clock.json"
        self._remembered_s = _read_believed(self._clock_path)
        self._day = SteadyDay(self._remembered_s or clock(), monotonic())

    async def run(self) -> None:
        await asyncio.sleep(FIRST_SWEEP_S)
        while True:
            try:
                await self.sweep()
            except OSError as error:
                log.warning("retention_failed", reason=str(error))
            await asyncio.sleep(SWEEP_INTERVAL_S)

    async def sweep(self) -> Plan:
        """Do what is due now, and return it."""
        for chore in self._chores:
            self._attempt(chore)
        await asyncio.to_thread(self._attempt, self._remove_leftovers)
        today = self._day.today(self._clock(), self._monotonic())
        await asyncio.to_thread(self._attempt, self._remember)
        due = await asyncio.to_thread(self._plan, today)
        for file in await asyncio.to_thread(self._carry_out, due):
            for follower in self._followers:
                follower.forget(file.kind, _key(file))
        return due

    def _attempt(self, chore: Callable[[], None]) -> None:
        """One chore's trouble is not the sweep's; it is tried again before the next one."""
        try:
            chore()
        except OSError as error:
            log.warning("retention_failed", reason=str(error))

    def _remove_leftovers(self) -> None:
        """Remove files that a kill left half-written: lines of a log may be in them."""
        for path in remove_leftovers(self._layout.data_dir, self._clock() - LEFTOVER_S):
            log.info("leftover_removed", path=str(path))

    def _remember(self) -> None:
        """Note the time that is believed: a start while the clock is ahead is a jump from there."""
        believed_s = self._day.believed_s
        if abs(believed_s - self._remembered_s) >= REMEMBER_S:
            write_whole(self._clock_path, orjson.dumps({"believed_s": believed_s}))
            self._remembered_s = believed_s

    def _plan(self, today: date) -> Plan:
        files = list(inventory(self._layout, today, self._is_acknowledged))
        return plan(files, self._rules, today, other_bytes(self._layout, files))

    def _carry_out(self, due: Plan) -> list[StoredFile]:
        """Return the files that are no longer there by their names."""
        gone: list[StoredFile] = []
        for file in due.delete:
            self._try(self._delete, file, gone)
        for file in due.forced:
            self._try(self._drop, file, gone)
        for file in due.archive:
            self._try(self._archive, file, gone)
        if due.excess_bytes:
            log.warning("storage_over_limit", excess_bytes=due.excess_bytes)
        return gone

    def _try(
        self,
        act: Callable[[StoredFile, list[StoredFile]], None],
        file: StoredFile,
        gone: list[StoredFile],
    ) -> None:
        """One file's trouble is not the others'; it is tried again at the next sweep."""
        try:
            act(file, gone)
        except (OSError, LogUnreadable) as error:
            log.warning("retention_failed", path=str(file.path), reason=str(error))

    def _delete(self, file: StoredFile, gone: list[StoredFile]) -> None:
        with _held(file.path) as is_free:
            if not is_free:
                return
            file.path.unlink(missing_ok=True)
        gone.append(file)
        log.info("log_deleted", path=str(file.path), bytes=file.size_bytes)

    def _drop(self, file: StoredFile, gone: list[StoredFile]) -> None:
        """Delete what the limit forces out, and count the lines that nobody will read any more."""
        lines = count_lines(file.path, self._least(file, "taken"), self._layout.keyring)
        with _held(file.path) as is_free:
            if not is_free:
                return
            self._forced.add(file, lines)  # counted first: a kill between may count it twice
            file.path.unlink()
        gone.append(file)
        log.warning("log_dropped", task=file.task, kind=file.kind, name=str(file.name), lines=lines)

    def _archive(self, file: StoredFile, gone: list[StoredFile]) -> None:
        archived = archive(file.path, self._layout.keyring)
        if archived is not None:
            gone.append(file)
            log.info("log_archived", path=str(archived))

    def _is_acknowledged(self, file: StoredFile) -> bool:
        if file.path.suffix != ".jsonl":
            return True
        position = self._least(file, "acknowledged")
        if position < file.size_bytes and not file.is_open:
            with _held(file.path):  # sets a torn tail aside, which nobody can read to its end
                return position >= file.path.stat().st_size
        return position >= file.size_bytes

    def _least(self, file: StoredFile, which: Literal["acknowledged", "taken"]) -> int:
        """Return the position of the last of those who follow a file; its size where nobody is."""
        key = _key(file)
        positions: Iterable[int | None] = (
            getattr(follower, which)(file.kind, file.task, key) for follower in self._followers
        )
        return min((p for p in positions if p is not None), default=file.size_bytes)


def _read_believed(path: Path) -> float:
    """Return the time that was believed last, seconds since the epoch; 0 where none is known."""
    try:
        return float(orjson.loads(path.read_bytes())["believed_s"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0.0


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Keep writers off a file; gives False where one is at it."""
    if path.suffix != ".jsonl":
        yield True
        return
    held = DayFile.hold(path)
    try:
        yield held is not None
    finally:
        if held is not None:
            held.close()


def _key(file: StoredFile) -> str:
    return f"{file.task}/{file.path.name}"
