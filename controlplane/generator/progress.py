"""Add up the steps of a generation to one fraction that only grows.

Runs in: jobs. Talks to: whoever asked for the generation. Never: calls that from another thread.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from controlplane.generator.plan import Plan
from controlplane.generator.protocol import AskingGenerator, Generator

# What a row costs, relative to one row evaluated; measured on SMS and SNIPS. Asking waits for
# another's answer and runs a few drafts on every row.
COST = {("training", "rule"): 2.0, ("training", "ml"): 6.0, ("training", "llm"): 6.0}


class Progress:
    """Tells how far a generation is, by the rows that its steps have to go through."""

    def __init__(
        self,
        report: Callable[[str, float], None],
        suited: Sequence[Generator | AskingGenerator],
        plan: Plan,
    ) -> None:
        """suited: the generators that will be tried out."""
        self._report = report
        self._done = 0.0
        self._told = 0.0
        self._whole = _whole(suited, plan)

    @contextmanager
    def step(self, status: str, strategy: str, rows: int) -> Iterator[Callable[[float], None]]:
        """Run one step; the callable given takes its finished fraction, from any thread."""
        loop = asyncio.get_running_loop()
        start, weight = self._done, _cost(status, strategy) * rows
        self._tell(status, start)
        yield lambda fraction: _in_loop(loop, lambda: self._tell(status, start + weight * fraction))
        self._done = start + weight
        self._tell(status, self._done)

    def _tell(self, status: str, done: float) -> None:
        # Calls from a thread arrive late, and a refused candidate may cost one more than planned.
        self._told = max(self._told, min(1.0, done / self._whole))
        self._report(status, self._told)


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def _cost(status: str, strategy: str) -> float:
    return COST.get((status, strategy), 1.0)


def _whole(suited: Sequence[Generator | AskingGenerator], plan: Plan) -> float:
    """Return the cost of all trials and of the final program, reckoned as the dearest."""
    trials = sum(_trials_cost(each, plan) for each in suited)
    trained = [each for each in suited if not isinstance(each, AskingGenerator)]
    dearest = max((_cost("training", each.strategy) for each in trained), default=0.0)
    return trials + dearest * len(plan.open) + len(plan.sealed or plan.open)


def _trials_cost(generator: Generator | AskingGenerator, plan: Plan) -> float:
    cost = _cost("training", generator.strategy)
    if isinstance(generator, AskingGenerator):
        rows, trials = plan.once
        return cost * len(rows) + sum(len(trial.choosing) for trial in trials)
    return sum(cost * len(trial.training) + len(trial.choosing) for trial in plan.trials)
