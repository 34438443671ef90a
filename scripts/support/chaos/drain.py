"""Restart the gateway over and over under load; a client that follows gRPC's rules loses no call.

Every other time the supervisor replaces it (SIGUSR2: the successor serves first); in between it is
told to go by itself (SIGTERM: connections wait in the listener until the next one serves).

Runs in: scripts/chaos drain. Talks to: an edge it started, on loopback. Never: tries a call again
that a server may have run; see scripts/support/rpc/rolling.py.
"""

import argparse
import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any, Self

from loopai.answers import write_request

from scripts.support import menu
from scripts.support.artifacts import write_artifact
from scripts.support.bench.execute import EXECUTE, INPUT_SCHEMA, OUTPUT_SCHEMA, PROGRAM, TEXT
from scripts.support.rpc.caller import framed
from scripts.support.rpc.rolling import RollingClient
from scripts.support.stack import EdgeProcess, until

CALLERS = 16
CALLS_BETWEEN = 300  # answered by one gateway before it is told to go
RESTART_S = 30.0
TASK = "spam"


class Load:
    """Callers in a thread of their own, on one rolling client."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self.client: RollingClient

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def answered(self) -> int:
        return len(self.client.taken_ms) if hasattr(self, "client") else 0

    async def _run(self) -> None:
        self.client = RollingClient(self._address, EXECUTE)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(self._call_steadily())
        await self.client.close()

    async def _call_steadily(self) -> None:
        frame = framed(write_request({"text": TEXT}, TASK, "", 0).SerializeToString())
        while not self._is_over.is_set():
            await self.client.call(frame)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--restarts", type=menu.count, default=20)


def is_good(report: dict[str, Any]) -> bool:
    """Say whether no call failed, and every restart was one."""
    return (
        not report["failed"]
        and report["lines"] == report["answered"]
        and report["gateways"] == report["restarts"] + 1
    )


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Restart under load; then compare the answers with the log."""
    write_artifact(folder / "artifacts", TASK, PROGRAM, INPUT_SCHEMA, OUTPUT_SCHEMA)
    settings = {"artifacts": {"folder": str(folder / "artifacts")}}
    restarts_ms: dict[str, list[float]] = {"replaced": [], "ended": []}
    with EdgeProcess(folder, settings) as edge:
        until((edge.data_dir / "artifacts" / TASK / "active").exists, "the edge serves")
        with Load(edge.grpc) as load:
            for number, how in zip(range(options.restarts), cycle(restarts_ms)):
                _wait_for_calls(load)
                taken_ms = _restart(edge, load, how)
                restarts_ms[how].append(taken_ms)
                say(f"restart {number + 1}, {how}: a successor answers after {taken_ms:.0f} ms")
            _wait_for_calls(load)
        client = load.client
        lines = sum(1 for _ in edge.logged(TASK))
        started = edge.events("child_started")
    return {
        "restarts": sum(len(times) for times in restarts_ms.values()),
        "gateways": len({line["pid"] for line in started if line["child"] == "gateway"}),
        "answered": load.answered,
        "failed": sum(client.failed.values()),
        "failures_by_status": {str(status): count for status, count in client.failed.items()},
        "moved": client.moved,
        "connections": client.connections,
        "lines": lines,
        "slowest_restart_ms": {
            how: round(max(times, default=0.0), 1) for how, times in restarts_ms.items()
        },
        "slowest_call_ms": round(max(client.taken_ms), 1),
    }


def _wait_for_calls(load: Load) -> None:
    before = load.answered
    until(lambda: load.answered >= before + CALLS_BETWEEN, "calls are answered")


def _restart(edge: EdgeProcess, load: Load, how: str) -> float:
    """Change the gateway; return when its successor answers, in ms."""
    before = load.client.connections
    begun_s = time.monotonic()
    if how == "replaced":
        os.kill(edge.pid, signal.SIGUSR2)
    else:
        os.kill(edge.child_pid("gateway"), signal.SIGTERM)
    until(lambda: load.client.connections > before, "the client moved", timeout_s=RESTART_S)
    answered = load.answered
    until(lambda: load.answered > answered, "the successor answers", timeout_s=RESTART_S)
    return (time.monotonic() - begun_s) * 1000
