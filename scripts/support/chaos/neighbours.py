"""Let one task be slow, or lose its workers, and see what the callers of another one notice.

Runs in: scripts/chaos neighbours. Talks to: an edge it started, on loopback. Never: kills anything
but workers of that edge, or runs longer than asked.

Slow: a task of 500 ms a call gets 4 calls/s while a fast one gets 5,000/s. Killing: a worker of a
third task is killed every 200 ms; its calls are answered ERROR or TIMEOUT, or run again once.
"""

import argparse
import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import grpc
from loopai import AsyncEdgeClient
from loopai.answers import write_request

from scripts.support import menu
from scripts.support.artifacts import write_artifact
from scripts.support.bench.execute import EXECUTE, INPUT_SCHEMA, OUTPUT_SCHEMA, PROGRAM, TEXT
from scripts.support.bench.load import Target, measure_steady
from scripts.support.stack import EdgeProcess, until

FAST, SLOW, VICTIM = "fast", "slow", "victim"
FAST_RPS = 5_000
SLOW_RPS = 4
SLOW_MS = 500
VICTIM_MS = 5  # long enough that most kills hit a running call
VICTIM_CALLERS = 4
KILL_EVERY_S = 0.2
MOST_P99_MS = 10.0
ENDURED = {"SUCCESS", "ERROR", "TIMEOUT"}  # outcomes that a killed worker's calls may have
BUSY = """
from datetime import datetime, timedelta


def run(input_data):
    end = datetime.now() + timedelta(milliseconds=%d)
    while datetime.now() < end:
        pass
    return "ham"
"""


class Callers:
    """Callers of one task in a thread of their own; every answer's id and outcome are kept."""

    def __init__(self, address: str, task: str, *, at_once: int, rps: float = 0.0) -> None:
        """rps: 0 for a closed loop of `at_once` callers; else each call starts on time."""
        self.task = task
        self.ids: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._address = address
        self._at_once = at_once
        self._rps = rps
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=task)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def report(self) -> dict[str, Any]:
        return {"outcomes": dict(self.outcomes), "refusals": dict(self.refusals)}

    async def _run(self) -> None:
        async with AsyncEdgeClient(self._address) as edge, asyncio.TaskGroup() as tasks:
            if not self._rps:
                for _ in range(self._at_once):
                    tasks.create_task(self._call_steadily(edge))
            while self._rps and not self._is_over.is_set():
                tasks.create_task(self._call(edge))
                await asyncio.sleep(1 / self._rps)

    async def _call_steadily(self, edge: AsyncEdgeClient) -> None:
        while not self._is_over.is_set():
            await self._call(edge)

    async def _call(self, edge: AsyncEdgeClient) -> None:
        try:
            answer = await edge.execute({"text": TEXT}, task=self.task)
        except grpc.aio.AioRpcError as error:
            self.refusals[error.code().name] += 1
        else:
            self.ids.append(answer.execution_id)
            self.outcomes[answer.outcome] += 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=menu.amount, default=30, help="of killing")
    parser.add_argument("--slow-seconds", type=menu.amount, default=10, help="beside the slow task")


def is_good(report: dict[str, Any]) -> bool:
    """Say whether neighbours noticed nothing."""
    slow, killing = report["slow"], report["killing"]
    beside = slow["fast_beside_slow"]
    is_fair = beside["p99_ms"] < MOST_P99_MS and not beside["failed"]
    is_unhurt = killing["neighbour"]["outcomes"].keys() <= {"SUCCESS"}
    is_answered = killing["victim"]["outcomes"].keys() <= ENDURED
    refusals = killing["neighbour"]["refusals"] or killing["victim"]["refusals"]
    is_once = not killing["missing"] and not killing["duplicated"]
    return is_fair and is_unhurt and is_answered and not refusals and is_once


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the fast task alone and beside the slow one; then kill workers of a third."""
    artifacts = folder / "artifacts"
    for task, program in (
        (FAST, PROGRAM),
        (SLOW, BUSY % SLOW_MS),
        (VICTIM, BUSY % VICTIM_MS),
    ):
        write_artifact(artifacts, task, program, INPUT_SCHEMA, OUTPUT_SCHEMA)
    with EdgeProcess(folder, {"artifacts": {"folder": str(artifacts)}}) as edge:
        for task in (FAST, SLOW, VICTIM):
            active = edge.data_dir / "artifacts" / task / "active"
            until(active.exists, f"{task} is served")
        return {
            "slow": _beside_slow(edge, options.slow_seconds, say),
            "killing": _while_killing(edge, options.seconds, say),
        }


def _beside_slow(edge: EdgeProcess, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    message = write_request({"text": TEXT}, FAST, "", 0).SerializeToString()
    fast = Target(address=edge.grpc, method=EXECUTE, message=message)
    measure_steady(fast, FAST_RPS, 1)  # warm-up
    alone = measure_steady(fast, FAST_RPS, seconds)
    say(f"fast alone: {alone.rps:.0f}/s, p99 {alone.p99_ms:.2f} ms")
    with Callers(edge.grpc, SLOW, at_once=0, rps=SLOW_RPS) as slow:
        time.sleep(2)  # until the slow task's queue and workers are what they will be
        beside = measure_steady(fast, FAST_RPS, seconds)
    say(f"beside a slow task: {beside.rps:.0f}/s, p99 {beside.p99_ms:.2f} ms")
    return {
        "fast_alone": asdict(alone),
        "fast_beside_slow": asdict(beside),
        "slow_task": slow.report(),
    }


def _while_killing(edge: EdgeProcess, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    lines_before = Counter(line["execution_id"] for line in edge.logged(VICTIM))
    with (
        Callers(edge.grpc, VICTIM, at_once=VICTIM_CALLERS) as victim,
        Callers(edge.grpc, FAST, at_once=1) as neighbour,
    ):
        kills = _kill_steadily(edge, seconds)
    say(f"{kills} workers killed; victim {victim.report()}, neighbour {neighbour.report()}")
    lines = Counter(line["execution_id"] for line in edge.logged(VICTIM)) - lines_before
    return {
        "kills": kills,
        "victim": victim.report(),
        "neighbour": neighbour.report(),
        "missing": sum(lines[identifier] == 0 for identifier in victim.ids),
        "duplicated": sum(count > 1 for count in lines.values()),
    }


def _kill_steadily(edge: EdgeProcess, seconds: float) -> int:
    """Kill a worker that serves the victim, again and again; return how many died."""
    key = _digest(edge, VICTIM)
    end_s = time.monotonic() + seconds
    kills = 0
    while time.monotonic() < end_s:
        time.sleep(KILL_EVERY_S)
        pids = _serving_pids(edge, key)
        if pids:
            with suppress(ProcessLookupError):
                os.kill(pids[kills % len(pids)], signal.SIGKILL)
                kills += 1
    return kills


def _digest(edge: EdgeProcess, task: str) -> str:
    """Return the key under which the pool knows the task's program."""
    applied = [line for line in edge.events("route_applied") if line["task"] == task]
    return str(applied[-1]["digest"])


def _serving_pids(edge: EdgeProcess, key: str) -> list[int]:
    gone = {line["worker"] for line in edge.events("worker_gone")}
    serving = [line for line in edge.events("worker_serves") if line["key"] == key]
    return [int(line["pid"]) for line in serving if line["worker"] not in gone]
