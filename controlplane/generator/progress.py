"""Add up the steps of a generation to one fraction that only grows.

Runs in: jobs. Talks to: whoever asked for the generation. Never: calls that from another thread.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from controlplane.generator.plan import Plan
from controlplane.generator.protocol import Generator

# What a row costs, relative to one row evaluated; measured on SMS and SNIPS.
COST = {("training", "rule"): 2.0, ("training", "ml"): 6.0}


class Progress:
    """Tells how far a generation is, by the rows that its steps have to go through."""

    def __init__(
        self, report: Callable[[str, float], None], suited: Sequence[Generator], plan: Plan
    ) -> None:
        """suited: the generators that will be tried out."""
        self._report = report
        self._done = 0.0
        self._told = 0.0
        self._whole = _whole([each.strategy for each in suited], plan)

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


def _whole(strategies: Sequence[str], plan: Plan) -> float:
    """Return the cost of all trials and of the final program, reckoned as the dearest."""
    trials = sum(
        _cost("training", strategy) * len(trial.training) + len(trial.choosing)
        for strategy in strategies
        for trial in plan.trials
    )
    final = max(_cost("training", strategy) for strategy in strategies) * len(plan.open)
    return trials + final + len(plan.sealed or plan.open)
