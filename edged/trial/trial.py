"""Try every payload on every interpreter, in pools of real jailed workers.

Runs in: `edged sandbox try`, the tests. Talks to: one pool after the other. Never: weakens a pool
of a daemon; the layers to leave out are part of the image that is made here.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edged.pool.barriers import MINIMUM
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from edged.pool.zygote import Image
from edged.sandbox.backend import Backend
from edged.trial.interpreters import Interpreter
from edged.trial.judging import Judgement, judge
from edged.trial.payloads import Payload

_AT_ONCE: Final = 2  # more would have them compete for the time that is their deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one interpreter made of all payloads."""

    interpreter: Interpreter
    barriers: dict[str, bool]
    judgements: list[Judgement]

    @property
    def differing(self) -> list[Judgement]:
        return [judgement for judgement in self.judgements if not judgement.is_expected]

    def as_json(self) -> dict[str, Any]:
        return {
            "python": self.interpreter.version,
            "path": self.interpreter.path,
            "barriers": self.barriers,
            "differing": [judgement.payload.name for judgement in self.differing],
            "results": [judgement.as_json() for judgement in self.judgements],
        }


async def try_all(
    payloads: Sequence[Payload],
    interpreter: Interpreter,
    path: tuple[str, ...],
    *,
    without: frozenset[str],
    time_limit_ms: float,
    backend: Backend = Backend.PYTHON,
    say: Callable[[Judgement], None],
) -> Trial:
    """Judge the payloads on one interpreter. say: is told of each, in the order they end.

    Raises PoolError when no worker can be had: when the barriers that are asked for do not hold.
    """
    settings = PoolSettings(
        workers_per_version=1,
        time_limit_ms=time_limit_ms,
        require=() if without else MINIMUM,
        has_monty=backend is Backend.MONTY,
    )
    gate = asyncio.Semaphore(_AT_ONCE)

    async def judge_one(number: int, payload: Payload) -> Judgement:
        async with gate:
            judgement = await judge(
                pool, payload, key=f"{number}", without=without, backend=backend
            )
        say(judgement)
        return judgement

    image = Image(python=interpreter.path, path=path, without=without)
    async with Pool(settings, image) as pool, asyncio.TaskGroup() as judges:
        tasks = [
            judges.create_task(judge_one(number, payload))
            for number, payload in enumerate(payloads)
        ]
        report = pool.jail_report
    return Trial(
        interpreter=interpreter,
        barriers=report.by_barrier() if report else {},
        judgements=[task.result() for task in tasks],
    )
