"""Measure the full Execute path beside an empty grpc.aio handler, rounds interleaved.

Runs in: scripts/bench execute. Never: asserts; it returns figures.
"""

import argparse
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopai.answers import write_request

from scripts.support.artifacts import write_artifact
from scripts.support.bench import peer
from scripts.support.bench.load import Sample, generator_name, measure
from scripts.support.stack import EdgeProcess, until

EXECUTE = "/loopai.edge.v1.EdgeService/Execute"
IN_FLIGHT = (1, 32, 256)
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
    parser.add_argument("--seconds", type=float, default=5, help="of each case, over all rounds")
    parser.add_argument("--rounds", type=int, default=5)


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the cases, and whether the log agrees with what the generator counted."""
    seconds, rounds = options.seconds, options.rounds
    artifacts = folder / "artifacts"
    write_artifact(artifacts, "spam", PROGRAM, INPUT_SCHEMA, OUTPUT_SCHEMA)
    message = write_request({"text": TEXT}, "spam", "", 0).SerializeToString()
    counted = {"answered": 0, "failed": 0}
    with _peer() as address, EdgeProcess(folder, {"artifacts": {"folder": str(artifacts)}}) as edge:
        until(lambda: _is_serving(edge), "the edge serves")
        measure(edge.grpc, EXECUTE, message, 8, 0.5)  # warm-up; its lines are subtracted
        lines_before = sum(1 for _ in edge.logged("spam"))
        cases = []
        for in_flight in IN_FLIGHT:
            ours, theirs = [], []
            for number in range(rounds):
                say(f"{in_flight} in flight, round {number + 1}")
                ours.append(measure(edge.grpc, EXECUTE, message, in_flight, seconds / rounds))
                theirs.append(measure(address, peer.METHOD, message, in_flight, seconds / rounds))
            cases.append({"in_flight": in_flight, **_case(ours, theirs)})
            counted["answered"] += sum(sample.answered for sample in ours)
            counted["failed"] += sum(sample.failed for sample in ours)
        edge.stop()
        lines = sum(1 for _ in edge.logged("spam")) - lines_before
    return {
        "cases": cases,
        **counted,
        "log_lines": lines,
        # A call that was running when a round ended is in the log and was not waited for.
        "log_agrees": 0 <= lines - counted["answered"] <= sum(IN_FLIGHT) * rounds,
        "load_generator": generator_name(),
        "peer": "empty grpc.aio handler",
        "python": platform.python_version(),
    }


def describe(report: dict[str, Any]) -> str:
    """Return the cases in words."""
    return "\n".join(
        f"{case['in_flight']:>4} in flight: {case['rps']:>9.0f}/s, "
        f"p50 {case['p50_ms']:.2f} ms, p99 {case['p99_ms']:.2f} ms; "
        f"empty handler {case['peer_rps']:.0f}/s; ratio {case['ratio']:.2f}"
        for case in report["cases"]
    )


def _case(ours: list[Sample], theirs: list[Sample]) -> dict[str, float]:
    """Return medians over the rounds; the ratio is the median of the rounds' ratios."""
    pairs = zip(ours, theirs, strict=True)
    return {
        "rps": statistics.median(sample.rps for sample in ours),
        "p50_ms": statistics.median(sample.p50_ms for sample in ours),
        "p99_ms": statistics.median(sample.p99_ms for sample in ours),
        "peer_rps": statistics.median(sample.rps for sample in theirs),
        "peer_p50_ms": statistics.median(sample.p50_ms for sample in theirs),
        "peer_p99_ms": statistics.median(sample.p99_ms for sample in theirs),
        "ratio": round(statistics.median(a.rps / b.rps for a, b in pairs), 3),
    }


def _is_serving(edge: EdgeProcess) -> bool:
    return (edge.data_dir / "artifacts" / "spam" / "active").exists()


@contextmanager
def _peer() -> Iterator[str]:
    command = [sys.executable, "-m", "scripts.support.bench.peer"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 both are pipes
    assert process.stdin is not None  # noqa: S101
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)
