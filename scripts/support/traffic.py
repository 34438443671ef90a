"""Steady callers that know the truth, and the oracle that knows it too.

Runs in: demo improve, in threads of their own. Talks to: one edge, on loopback. Never: tells the
edge a truth but through the oracle's door.
"""

import asyncio
import json
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from loopai import AsyncEdgeClient

from scripts.support.rows import Row

CALLERS = 8
PAUSE_S = 0.004  # leaves the edge, home and training some of two cores
KEPT = 200_000


@dataclass(frozen=True, slots=True)
class Call:
    """One answered call. version: which answered."""

    at_s: float
    is_right: bool
    version: int


def spelled(value: Any) -> str:
    """Return a value's canonical text, for looking truths up."""
    return json.dumps(value, sort_keys=True)


class Traffic:
    """Sends rows of a pool at random until stopped; the pool may be changed at any time."""

    def __init__(self, address: str, task: str, pool: list[Row]) -> None:
        self.pool = pool
        self.calls: deque[Call] = deque(maxlen=KEPT)
        self._address = address
        self._task = task
        self._random = random.Random(7)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="traffic")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def failure_rate(self, since_s: float) -> tuple[float, int]:
        """Return the share of wrong answers since a moment, and how many answers that is."""
        recent = [call for call in list(self.calls) if call.at_s >= since_s]
        wrong = sum(not call.is_right for call in recent)
        return (wrong / len(recent) if recent else 0.0), len(recent)

    def shares(self, since_s: float) -> dict[int, float]:
        """Return each version's share of the answers since a moment."""
        recent = [call.version for call in list(self.calls) if call.at_s >= since_s]
        return {v: recent.count(v) / len(recent) for v in sorted(set(recent))}

    async def _run(self) -> None:
        async with AsyncEdgeClient(self._address) as edge, asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(self._call(edge))

    async def _call(self, edge: AsyncEdgeClient) -> None:
        while not self._is_over.is_set():
            row = self._random.choice(self.pool)
            try:
                answer = await edge.execute(row.input, task=self._task)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)
                continue
            is_right = answer.is_success and answer.output == row.output
            self.calls.append(Call(time.monotonic(), is_right, answer.version))
            await asyncio.sleep(PAUSE_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: an edge that stops leaves its connections."""


class Oracle:
    """Answers POST {"input"} with {"output": the truth}."""

    def __init__(self) -> None:
        self.truths: dict[str, Any] = {}
        self.asked = 0
        oracle = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                oracle.answer(self, json.loads(self.rfile.read(length)))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Door)
        self._thread = threading.Thread(target=self._server.serve_forever, name="oracle")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/label"

    def know(self, rows: list[Row]) -> None:
        self.truths.update((spelled(row.input), row.output) for row in rows)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, door: BaseHTTPRequestHandler, question: dict[str, Any]) -> None:
        self.asked += 1
        body = json.dumps({"output": self.truths[spelled(question["input"])]}).encode()
        door.send_response(200)
        door.send_header("content-type", "application/json")
        door.send_header("content-length", str(len(body)))
        door.end_headers()
        door.wfile.write(body)
