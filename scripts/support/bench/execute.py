"""Measure the full Execute path beside an empty grpc.aio handler, rounds interleaved.

Runs in: scripts/bench execute. Never: asserts; it returns figures.
"""

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loopai.answers import write_request

from scripts.support import menu
from scripts.support.artifacts import write_artifact
from scripts.support.bench import empty
from scripts.support.bench.cases import compare
from scripts.support.bench.load import (
    CHECKED_CALLS,
    Sample,
    Target,
    generator_name,
    measure,
    measure_steady,
)
from scripts.support.stack import EdgeProcess, until

EXECUTE = "/loopai.edge.v1.EdgeService/Execute"
IN_FLIGHT = (1, 32, 256)
STEADY_RATE = 10_000  # calls a second
HTTP_IN_FLIGHT = 32
TEXT = "Congratulations! You have won a guaranteed prize, call 09061701461 now to claim it today."
PROGRAM = '''"""Keyword score of an SMS, as a generated program would do it."""
import re

POINTS = {"won": 3, "prize": 4, "claim": 3, "free": 2, "call": 1, "now": 1, "love": -3, "ok": -2}
WORD = re.compile("[a-z]+")


def run(input_data):
    score = 0
    for word in WORD.findall(input_data["text"].lower()):
        score += POINTS.get(word, 0)
    return "spam" if score > 3 else "ham"
'''
INPUT_SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 10_000}},
    "required": ["text"],
}
OUTPUT_SCHEMA = {"enum": ["spam", "ham"]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=menu.amount, default=5, help="of each case in all")
    parser.add_argument("--rounds", type=menu.count, default=5)


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the cases, and whether the log agrees with what the generator counted."""
    artifacts = folder / "artifacts"
    write_artifact(artifacts, "spam", PROGRAM, INPUT_SCHEMA, OUTPUT_SCHEMA)
    settings = {"artifacts": {"folder": str(artifacts)}}
    with empty.started("grpcio") as peer, EdgeProcess(folder, settings) as edge:
        until(lambda: _is_serving(edge), "the edge serves")
        bench = _Bench(edge, peer["plain"], options, say)
        measure(bench.full_path, 8, 0.5)  # warm-up; its lines are subtracted
        lines_before = sum(1 for _ in edge.logged("spam"))
        report = {
            "cases": [bench.compare(in_flight) for in_flight in IN_FLIGHT],
            "steady": bench.steady(),
            "http": bench.http(),
        }
        edge.stop()
        lines = sum(1 for _ in edge.logged("spam")) - lines_before
    return {
        **report,
        **bench.counted,
        "log_lines": lines,
        # Beside the answers: calls that were running when a round ended and were not waited for,
        # those that failed by coming too late, and the generator's own that confirm statuses.
        "log_agrees": 0 <= lines - bench.counted["answered"] <= bench.most_uncounted(),
        "load_generator": generator_name(),
        "peer": "empty grpc.aio handler",
        "python": platform.python_version(),
    }


class _Bench:
    """The full path and its peer; counts what was answered."""

    def __init__(
        self,
        edge: EdgeProcess,
        peer: str,
        options: argparse.Namespace,
        say: Callable[[str], None],
    ) -> None:
        request = write_request({"text": TEXT}, "spam", "", 0).SerializeToString()
        body = json.dumps({"input": {"text": TEXT}}).encode()
        self.full_path = Target(address=edge.grpc, method=EXECUTE, message=request)
        self._http = Target(address=edge.http, method="/v1/execute/spam", message=body, http1=True)
        self._peer = Target(address=peer, method=empty.NORMAL, message=request)
        self._seconds: float = options.seconds
        self._rounds: int = options.rounds
        self._say = say
        self.counted = {"answered": 0, "failed": 0}

    def compare(self, in_flight: int) -> dict[str, Any]:
        """Return one closed loop beside the peer, rounds interleaved."""
        ours, theirs = [], []
        for number in range(self._rounds):
            self._say(f"{in_flight} in flight, round {number + 1}")
            ours.append(measure(self.full_path, in_flight, self._seconds / self._rounds))
            theirs.append(measure(self._peer, in_flight, self._seconds / self._rounds))
        self._count(*ours)
        return {"in_flight": in_flight, **compare(ours, theirs)}

    def steady(self) -> dict[str, Any]:
        """Return the latency at a rate that callers keep, whatever the edge does."""
        self._say(f"{STEADY_RATE} calls a second")
        sample = measure_steady(self.full_path, STEADY_RATE, self._seconds)
        self._count(sample)
        return {"rate": STEADY_RATE, **asdict(sample)}

    def http(self) -> dict[str, Any]:
        self._say(f"HTTP/1.1, {HTTP_IN_FLIGHT} in flight")
        sample = measure(self._http, HTTP_IN_FLIGHT, self._seconds)
        self._count(sample)
        return {"in_flight": HTTP_IN_FLIGHT, **asdict(sample)}

    def most_uncounted(self) -> int:
        confirming = 2 * CHECKED_CALLS * len(IN_FLIGHT)
        running = (sum(IN_FLIGHT) + confirming) * self._rounds + HTTP_IN_FLIGHT
        return running + self.counted["failed"]

    def _count(self, *samples: Sample) -> None:
        self.counted["answered"] += sum(sample.answered for sample in samples)
        self.counted["failed"] += sum(sample.failed for sample in samples)


def describe(report: dict[str, Any]) -> str:
    """Return the cases in words."""
    steady, http = report["steady"], report["http"]
    lines = [
        f"{case['in_flight']:>4} in flight: {case['rps']:>9.0f}/s, "
        f"p50 {case['p50_ms']:.2f} ms, p99 {case['p99_ms']:.2f} ms; "
        f"empty handler {case['peer_rps']:.0f}/s; ratio {case['ratio']:.2f}"
        for case in report["cases"]
    ]
    lines.append(
        f"steady {steady['rate']}/s: p50 {steady['p50_ms']:.2f} ms, p99 {steady['p99_ms']:.2f} ms"
    )
    lines.append(f"HTTP/1.1: {http['rps']:.0f}/s, p50 {http['p50_ms']:.2f} ms")
    return "\n".join(lines)


def _is_serving(edge: EdgeProcess) -> bool:
    return (edge.data_dir / "artifacts" / "spam" / "active").exists()
