"""Kill the edge's processes under load and count what survived.

Runs in: scripts/chaos kill. Talks to: processes it started, on loopback. Never:
kills anything else, or runs longer than asked.
"""

import argparse
import asyncio
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
from loopai import AsyncEdgeClient
from loopai.controlplane import ControlPlane

from scripts.support import menu
from scripts.support.bench.execute import INPUT_SCHEMA, OUTPUT_SCHEMA, PROGRAM, TEXT
from scripts.support.processes import children
from scripts.support.stack import ControlPlaneProcess, EdgeProcess, until

CALLERS = 8
KILL_EVERY_S = 2.0
RETRY_S = 0.01
TASK = "spam"
EDGE = {"telemetry": {"upload_interval_sec": 1}}


class Load:
    """Steady callers in a thread of their own; every answer's id and times are kept."""

    def __init__(self, address: str, *, callers: int = CALLERS) -> None:
        self.ids: list[str] = []
        self.calls_s: list[tuple[float, float]] = []  # begun and answered, monotonic
        self.retries = 0
        self.failures: Counter[str] = Counter()
        self._address = address
        self._callers = callers
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def first_answer_s(self, after_s: float) -> float | None:
        """Return when the first call that began after a moment was answered."""
        later = [end_s for begun_s, end_s in self._since(after_s) if begun_s > after_s]
        return min(later, default=None)

    def _since(self, after_s: float) -> list[tuple[float, float]]:
        """Return the calls that ended after a moment, newest first."""
        recent = []
        for begun_s, end_s in reversed(self.calls_s):
            if end_s <= after_s:
                break
            recent.append((begun_s, end_s))
        return recent

    async def _run(self) -> None:
        async with AsyncEdgeClient(self._address) as edge, asyncio.TaskGroup() as tasks:
            for _ in range(self._callers):
                tasks.create_task(self._call_steadily(edge))

    async def _call_steadily(self, edge: AsyncEdgeClient) -> None:
        while not self._is_over.is_set():
            begun_s = time.monotonic()
            try:
                answer = await edge.execute({"text": TEXT}, task=TASK)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    self.failures[error.code().name] += 1
                self.retries += 1
                await asyncio.sleep(RETRY_S)
                continue
            self.ids.append(answer.execution_id)
            self.calls_s.append((begun_s, time.monotonic()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=menu.amount, default=30)


def is_good(report: dict[str, Any]) -> bool:
    """Say whether nothing was lost."""
    is_whole = report["counted_home"] == report["lines"] and not report["failures"]
    return is_whole and not report["missing"] and not report["duplicated"]


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Kill agent, worker and gateway in turn under load; then compare answers, log and home."""
    with ExitStack() as stack:
        server = stack.enter_context(ControlPlaneProcess(folder))
        home = stack.enter_context(ControlPlane(server.url, server.api_key))
        publish(folder, home)
        edge = stack.enter_context(EdgeProcess(folder, EDGE, server))
        until((edge.data_dir / "artifacts" / TASK / "active").exists, "the edge serves")
        load = Load(edge.grpc)
        load.start()
        stack.callback(load.stop)
        restarts_ms = _kill_in_turn(edge, load, options.seconds, say)
        load.stop()
        lines = Counter(line["execution_id"] for line in edge.logged(TASK))
        total = sum(lines.values())
        say(f"{len(load.ids)} answers, {total} lines; waiting for the counts at home")
        until(lambda: counted(home, TASK) >= total, "all lines are counted at home")
        return {
            "answers": len(load.ids),
            "logged_once": sum(lines[identifier] == 1 for identifier in load.ids),
            "missing": sum(lines[identifier] == 0 for identifier in load.ids),
            "duplicated": sum(count > 1 for count in lines.values()),
            "lines": total,
            "counted_home": counted(home, TASK),
            "retries": load.retries,
            "failures": dict(load.failures),
            "restarts": {name: len(times) for name, times in restarts_ms.items()},
            "slowest_restart_ms": round(max(max(times) for times in restarts_ms.values()), 1),
            "slowest_restart_ms_by_process": {
                name: round(max(times), 1) for name, times in restarts_ms.items()
            },
        }


def counted(home: ControlPlane, task: str) -> int:
    """Return how many executions the control plane has counted."""
    return sum(arm["executions"] for arm in home.telemetry(task)["arms"])


def publish(folder: Path, home: ControlPlane) -> None:
    """Make the task, upload its program and serve it everywhere."""
    home.create_task(TASK, input_schema=INPUT_SCHEMA, output_schema=OUTPUT_SCHEMA)
    program = folder / "program.py"
    program.write_text(PROGRAM)
    home.add_examples(TASK, _examples(folder))
    version = home.upload(TASK, program)["version"]
    home.activate(TASK, version)


def worker_pids(gateway: int) -> list[int]:
    """Return the workers below a gateway: its zygote's children."""
    return [worker for zygote in children(gateway) for worker in children(zygote)]


def _kill_in_turn(
    edge: EdgeProcess, load: Load, seconds: float, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Return, for each kind of process, the times from kill to next answer or link up, in ms."""
    kinds = {"agent": _kill_agent, "worker": _kill_worker, "gateway": _kill_gateway}
    times_ms: dict[str, list[float]] = {name: [] for name in kinds}
    end_s = time.monotonic() + seconds
    for name in cycle(kinds):
        if time.monotonic() >= end_s and all(times_ms.values()):
            return times_ms
        time.sleep(KILL_EVERY_S)
        taken_ms = kinds[name](edge, load)
        times_ms[name].append(taken_ms)
        say(f"killed the {name}: back after {taken_ms:.0f} ms")
    raise AssertionError("cycle() does not end")


def _kill_agent(edge: EdgeProcess, _load: Load) -> float:
    before = len(edge.events("link_up"))
    begun_s = time.monotonic()
    os.kill(edge.child_pid("agent"), signal.SIGKILL)
    until(lambda: len(edge.events("link_up")) > before, "the link is up again")
    return (time.monotonic() - begun_s) * 1000


def _kill_worker(edge: EdgeProcess, load: Load) -> float:
    return _until_next_answer(load, worker_pids(edge.child_pid("gateway"))[0])


def _kill_gateway(edge: EdgeProcess, load: Load) -> float:
    return _until_next_answer(load, edge.child_pid("gateway"))


def _until_next_answer(load: Load, pid: int) -> float:
    begun_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    until(lambda: load.first_answer_s(begun_s) is not None, "calls are answered again")
    answered_s = load.first_answer_s(begun_s) or begun_s
    return (answered_s - begun_s) * 1000


def _examples(folder: Path) -> Path:
    path = folder / "examples.jsonl"
    rows = [{"text": TEXT, "label": "spam"}, {"text": "see you at home, love", "label": "ham"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
