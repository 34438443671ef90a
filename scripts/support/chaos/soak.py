"""Hold an edge at half load for a long time and watch its memory and its open files.

Runs in: scripts/chaos soak. Talks to: an edge it started, on loopback. Never: runs longer than
asked.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loopai.answers import write_request

from scripts.support import menu
from scripts.support.artifacts import write_artifact
from scripts.support.bench.execute import EXECUTE, INPUT_SCHEMA, OUTPUT_SCHEMA, PROGRAM, TEXT
from scripts.support.bench.load import Sample, Target, measure, measure_steady
from scripts.support.chaos.hostile import read_rss_mb
from scripts.support.stack import EdgeProcess, until

TASK = "spam"
PIECE_S = 20.0  # of load between two looks
FULL_LOAD_S = 5.0
FULL_IN_FLIGHT = 32
MAX_GROWTH = 0.05
PROCESSES = ("gateway", "agent")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=menu.amount, default=60)
    parser.add_argument("--rate", type=menu.amount, help="calls a second [default: half of all]")


def is_good(report: dict[str, Any]) -> bool:
    """Say whether everything was answered and nothing grew."""
    flat = all(one["growth"] < MAX_GROWTH for one in report["rss_mb"].values())
    steady = all(one["last"] <= one["first"] for one in report["open_files"].values())
    return flat and steady and not report["failed"]


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the rate, what it took, and both ends of what was sampled."""
    write_artifact(folder / "artifacts", TASK, PROGRAM, INPUT_SCHEMA, OUTPUT_SCHEMA)
    settings = {
        "artifacts": {"folder": str(folder / "artifacts")},
        "storage": {"max_size_gb": 2},  # half load writes 10 GB an hour
    }
    with EdgeProcess(folder, settings) as edge:
        until((edge.data_dir / "artifacts" / TASK / "active").exists, "the edge serves")
        message = write_request({"text": TEXT}, TASK, "", 0).SerializeToString()
        target = Target(address=edge.grpc, method=EXECUTE, message=message)
        full = measure(target, FULL_IN_FLIGHT, FULL_LOAD_S)
        rate = options.rate or full.rps // 2
        pids = {name: edge.child_pid(name) for name in PROCESSES}
        samples: list[Sample] = []
        rss: list[dict[str, float]] = []
        files: list[dict[str, int]] = []
        end_s = time.monotonic() + options.minutes * 60
        while (left_s := end_s - time.monotonic()) > 0 or not samples:
            samples.append(measure_steady(target, rate, max(1.0, min(PIECE_S, left_s))))
            rss.append({name: round(read_rss_mb(pid), 1) for name, pid in pids.items()})
            files.append({name: _open_files(pid) for name, pid in pids.items()})
            say(f"{left_s / 60:.1f} minutes left: {rss[-1]} MB, {files[-1]} open files")
        is_same = all(edge.child_pid(name) == pid for name, pid in pids.items())
    return {
        "minutes": options.minutes,
        "full_rps": full.rps,
        "rate": rate,
        "answered": sum(sample.answered for sample in samples),
        "failed": sum(sample.failed for sample in samples),
        "p50_ms": round(statistics.median(sample.p50_ms for sample in samples), 3),
        "p99_ms": round(statistics.median(sample.p99_ms for sample in samples), 3),
        "rss_mb": {name: _ends([one[name] for one in rss]) for name in PROCESSES},
        "open_files": {name: _ends([one[name] for one in files]) for name in PROCESSES},
        "processes_restarted": not is_same,
        "load_generator": samples[0].generator,
    }


def _ends(values: list[float] | list[int]) -> dict[str, float]:
    """Return the medians of the first and the last tenth, after the first tenth to warm up."""
    tenth = max(1, len(values) // 10)
    warm = values[tenth:] or values
    first = statistics.median(warm[:tenth])
    last = statistics.median(warm[-tenth:])
    return {
        "first": round(first, 1),
        "last": round(last, 1),
        "most": max(values),
        "growth": round(last / first - 1, 4) if first else 0.0,
    }


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 a count needs no paths
