"""How far a log was followed and worked off, so that a kill loses nothing and repeats little.

Runs in: the agent. Talks to: one file in data_dir/state. Never: says that a line is done before
what came of it is on disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
import structlog

from edged.datasets.follower import Positions
from edged.decisions.traffic import Traffic
from edged.files import write_whole

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True, eq=False)
class Step:
    """A line that was read. end, traffic: the position, and what was seen up to there.

    turn: set when everything before it is done.
    """

    key: str
    end: int
    traffic: Traffic
    is_done: bool = False
    turn: asyncio.Event = field(default_factory=asyncio.Event)


class Progress:
    """The lines of one task that were read and are not all done, in order.

    They may be finished in any order; the checkpoint moves over what is done without a gap.
    """

    def __init__(self, task: str, checkpoint: "Checkpoint") -> None:
        self._task = task
        self._checkpoint = checkpoint
        self._steps: deque[Step] = deque()  # the first one is never done
        # After the last line that was read; the sampler moves it.
        self.traffic = checkpoint.traffic.get(task, Traffic()).copy()

    def begin(self, key: str, end: int) -> Step:
        """Say of a line that something is to be done for it, and nothing for those before."""
        step = Step(key=key, end=end, traffic=self.traffic.copy())
        self._steps.append(step)
        self._steps[0].turn.set()
        return step

    def skip(self, key: str, end: int) -> None:
        """Say of a line, and of those before, that nothing is to be done for it."""
        last = self._steps[-1] if self._steps else None
        if last is None:
            self._checkpoint.move(self._task, key, end, self.traffic.copy())
        elif last.is_done and last.key == key:  # one step for a run of them
            last.end, last.traffic = end, self.traffic.copy()
        else:
            step = Step(key=key, end=end, traffic=self.traffic.copy(), is_done=True)
            self._steps.append(step)

    def finish(self, step: Step) -> None:
        step.is_done = True
        while self._steps and self._steps[0].is_done:
            first = self._steps.popleft()
            self._checkpoint.move(self._task, first.key, first.end, first.traffic)
        if self._steps:
            self._steps[0].turn.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one task's questions in a UTC day; None where there is none."""

    questions: int | None = None
    cost_usd: float | None = None


@dataclass(slots=True, kw_only=True)
class Spent:
    """On one task's questions today. latency_ms: of all answers together."""

    questions: int = 0
    answers: int = 0
    cost_usd: float = 0.0
    latency_ms: float = 0.0


class Budget:
    """What was spent today, by task. clock: seconds since the epoch; a day is one of UTC."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.day = 0  # since the epoch
        self.spent: dict[str, Spent] = {}

    def take(self, task: str, limits: Limits) -> bool:
        """Spend one question, unless the day's limits are reached.

        A clock set back by a day opens no new one. Cost is known when the answer is there, so those
        under way can exceed it by theirs.
        """
        today = self.today(task)
        if limits.questions is not None and today.questions >= limits.questions:
            return False
        if self.is_cost_spent(task, limits):
            return False
        today.questions += 1
        return True

    def is_cost_spent(self, task: str, limits: Limits) -> bool:
        return limits.cost_usd is not None and self.today(task).cost_usd >= limits.cost_usd

    def note(self, task: str, *, cost_usd: float, latency_ms: float, answers: int = 1) -> None:
        """Add what answers cost."""
        today = self.today(task)
        today.answers += answers
        today.cost_usd += cost_usd
        today.latency_ms += latency_ms

    def today(self, task: str) -> Spent:
        day = int(self._clock() // 86_400)
        # Set back a little, it opens no new day; the day of a clock that was wrong would not end.
        if day > self.day or day < self.day - 1:
            self.day, self.spent = day, {}
        return self.spent.setdefault(task, Spent())


class Checkpoint:
    """One validator's file: how far it is, how it sampled there, what of today is spent."""

    def __init__(self, path: Path, budget: Budget) -> None:
        self._path = path
        self._saved = b""
        self.budget = budget
        self.positions: Positions = {}
        self.traffic: dict[str, Traffic] = {}  # by task, at its positions; never changed

    def move(self, task: str, key: str, end: int, traffic: Traffic) -> None:
        self.positions[key] = end
        self.traffic[task] = traffic

    def load(self) -> None:
        """Read the file; without one everything is new."""
        try:
            document = orjson.loads(self._path.read_bytes())
            positions, day, spent = document["positions"], document["day"], document["spent"]
            spent = {task: Spent(**fields) for task, fields in spent.items()}
            traffic = {task: Traffic.from_json(f) for task, f in document["traffic"].items()}
            self.positions.update(positions)
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Worked off again from the start: records repeat under the ids they had.
            log.error("checkpoint_unreadable", path=str(self._path), reason=repr(error))
            return
        self.traffic.update(traffic)
        self.budget.day, self.budget.spent = day, spent

    def save(self, make_durable: Callable[[], None]) -> None:
        """Write the file when something moved. make_durable: called before, for what it claims."""
        content = self._render()
        if content != self._saved:
            make_durable()
            write_whole(self._path, content)
            self._saved = content

    def _render(self) -> bytes:
        document = {
            "positions": self.positions,
            "traffic": {task: traffic.as_json() for task, traffic in self.traffic.items()},
            "day": self.budget.day,
            "spent": {task: asdict(spent) for task, spent in self.budget.spent.items()},
        }
        return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
