"""Measure one jailed worker: calls a second, overhead, deadlines, recovery.

Runs in: scripts/bench pool. Talks to: a pool of its own in this process. Never: asserts; it returns
figures. The peer is plain Python: the same program, from JSON to JSON, in this process.
"""

import argparse
import asyncio
import json
import logging
import os
import platform
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
import uvloop

from edged.pool.pool import Outcome, Pool, ProgramSource, Result
from edged.pool.settings import PoolSettings
from scripts.support import menu
from scripts.support.bench.execute import PROGRAM, TEXT
from scripts.support.processes import children, parent_of

LIMIT_MS = 50.0
IN_FLIGHT = 64
INPUT = json.dumps({"text": TEXT}, separators=(",", ":")).encode()
SPREADS = {
    "soft_deadline_error_ms": "beyond a deadline that the program's own code meets",
    "hard_deadline_error_ms": "beyond a deadline that takes a kill",
    "hard_kill_to_good_answer_ms": "from the answer of a killed call to the next good one",
    "sigkill_to_good_answer_ms": "from the death of all workers to the next good answer",
    "respawn_ms": "to fork a worker and lock it down",
}
BAD = '''"""What a deadline is for, beside what an ordinary call does."""
import itertools


def run(input_data):
    if input_data == "spin":
        while True:
            pass
    if input_data == "count":
        return sum(itertools.count())
    return input_data
'''


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=menu.amount, default=5, help="of each throughput case")
    parser.add_argument("--repeat", type=menu.count, default=30, help="of deadlines and recoveries")


def run(_folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Return figures of a pool's hot path, its deadlines and its recovery."""
    # Every kill is an event, and standard output is for the figures.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return uvloop.run(_measure(options.seconds, options.repeat, say))


def describe(report: dict[str, Any]) -> str:
    """Return the figures in words."""
    lines = [
        f"{report['executions_per_s']:>9.0f}   executions/s through one worker, batched",
        f"{report['pool_cpu_us']:>9.2f}   us CPU a call at the pool's side",
        f"{report['worker_cpu_us']:>9.2f}   us CPU a call at the worker's side",
        f"{report['round_trip_us']:>9.1f}   us there and back, one in flight",
        f"{report['call_us']:>9.2f}   us in the worker from JSON to JSON",
        f"{report['plain_python_us']:>9.2f}   us the same in plain Python",
    ]
    for name, what in SPREADS.items():
        spread = report[name]
        lines.append(f"{spread['median']:>9.2f}   ms {what}; at worst {spread['max']:.2f}")
    return "\n".join(lines)


async def _measure(seconds: float, repeat: int, say: Callable[[str], None]) -> dict[str, Any]:
    report: dict[str, Any] = {"python": platform.python_version(), "in_flight": IN_FLIGHT}
    async with Pool(PoolSettings(workers_per_version=1, recycle_after_calls=10**9)) as pool:
        await pool.load("good", ProgramSource(source=PROGRAM))
        say("throughput")
        report |= await _throughput(pool, seconds)
        say("one in flight")
        report |= await _one_in_flight(pool)
        report |= _plain_python()
        report["overhead_us"] = round(report["call_us"] - report["plain_python_us"], 2)
    async with Pool(PoolSettings()) as pool:
        await pool.load("bad", ProgramSource(source=BAD))
        cases = (_soft_deadline, _hard_deadline, _after_hard_kill, _after_sigkill, _respawn)
        for name, case in zip(SPREADS, cases, strict=True):
            say(name)
            report[name] = _spread([await case(pool) for _ in range(repeat)])
    return report


async def _throughput(pool: Pool, seconds: float) -> dict[str, float]:
    """Keep calls in flight; a new one for each answer, all of one turn in one write."""
    flood = _Flood(pool)
    await flood.run(0.5)
    begin_s, cpu_s = time.perf_counter(), time.process_time()
    worker_s = _cpu_s(pool.worker_pids("good")[0])
    answered = await flood.run(seconds)
    taken_s = time.perf_counter() - begin_s
    return {
        "executions_per_s": round(answered / taken_s),
        "pool_cpu_us": round((time.process_time() - cpu_s) / answered * 1e6, 2),
        "worker_cpu_us": round(
            (_cpu_s(pool.worker_pids("good")[0]) - worker_s) / answered * 1e6, 2
        ),
    }


class _Flood:
    """A closed loop of IN_FLIGHT calls without a task for each."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._end_s = 0.0
        self._running = self._missing = self._answered = 0
        self._over = self._loop.create_future()

    async def run(self, seconds: float) -> int:
        """Return how many calls were answered; every one must have succeeded."""
        self._end_s = self._loop.time() + seconds
        self._answered, self._running, self._missing = 0, IN_FLIGHT, IN_FLIGHT
        self._over = self._loop.create_future()
        self._refill()
        await self._over
        return self._answered

    def _refill(self) -> None:
        missing, self._missing = self._missing, 0
        for _ in range(missing):
            self._pool.submit("good", INPUT, self._done)

    def _done(self, result: Result) -> None:
        if result.outcome is not Outcome.SUCCESS and not self._over.done():
            self._over.set_exception(RuntimeError(result.error_message))
        self._answered += 1
        if self._loop.time() < self._end_s:
            if not self._missing:
                self._loop.call_soon(self._refill)
            self._missing += 1
            return
        self._running -= 1
        if not self._running and not self._over.done():
            self._over.set_result(None)


async def _one_in_flight(pool: Pool) -> dict[str, float]:
    taken_us, run_us = [], []
    for _ in range(2_000):
        begin_ns = time.perf_counter_ns()
        result = await pool.call("good", INPUT)
        taken_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
        run_us.append(result.run_ms * 1e3)
    return {
        "round_trip_us": round(statistics.median(taken_us), 1),
        "call_us": round(statistics.median(run_us), 2),
    }


def _plain_python() -> dict[str, float]:
    names: dict[str, Any] = {}
    exec(PROGRAM, names)  # noqa: S102 our own program, as its artifact would run it
    program = names["run"]
    taken_us = []
    for _ in range(2_000):
        begin_ns = time.perf_counter_ns()
        json.dumps(program(json.loads(INPUT)), ensure_ascii=False, separators=(",", ":")).encode()
        taken_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
        time.sleep(0)  # a call that waited for its turn, as in the worker
    return {"plain_python_us": round(statistics.median(taken_us), 2)}


async def _soft_deadline(pool: Pool) -> float:
    result = await pool.call("bad", b'"spin"', time_limit_ms=LIMIT_MS)
    await _settled(pool)
    return result.run_ms - LIMIT_MS


async def _hard_deadline(pool: Pool) -> float:
    """C code that never returns to the interpreter: only SIGKILL ends it."""
    result = await pool.call("bad", b'"count"', time_limit_ms=LIMIT_MS)
    await _settled(pool)
    return result.run_ms - LIMIT_MS


async def _after_hard_kill(pool: Pool) -> float:
    """From the moment the call that had to be killed is answered."""
    await pool.call("bad", b'"count"', time_limit_ms=LIMIT_MS)
    return await _good_answer_ms(pool)


async def _after_sigkill(pool: Pool) -> float:
    """From the death of every worker that served the program."""
    for pid in pool.worker_pids("bad"):
        os.kill(pid, signal.SIGKILL)
    return await _good_answer_ms(pool)


async def _good_answer_ms(pool: Pool) -> float:
    begin_s = time.perf_counter()
    result = await pool.call("bad", b'"good"')
    taken_ms = (time.perf_counter() - begin_s) * 1e3
    if result.outcome is not Outcome.SUCCESS:
        raise RuntimeError(result.error_message)
    await _settled(pool)
    return taken_ms


async def _respawn(pool: Pool) -> float:
    """From a spare's death to the next one, forked, locked and probed; nothing else goes on."""
    serving = pool.worker_pids("bad")
    [spare] = set(children(parent_of(serving[0]))) - set(serving)
    os.kill(spare, signal.SIGKILL)
    await _until(lambda: not pool.stats().spares)
    begin_s = time.perf_counter()
    await _until(lambda: pool.stats().spares > 0)
    return (time.perf_counter() - begin_s) * 1e3


async def _settled(pool: Pool) -> None:
    """Wait until the program has its two workers again and a spare stands by."""
    await pool.call("bad", b'"good"')
    await _until(lambda: pool.stats().spares > 0 and pool.stats().by_key["bad"].workers > 1)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(
            0
        )  # what is measured takes milliseconds; the loop's timers count in them


def _cpu_s(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 3), "max": round(max(values), 3)}
