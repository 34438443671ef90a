"""A hostile client for every limit of the gRPC door, beside an honest one that must not notice.

Runs in: scripts/chaos hostile. Talks to: an edge it started, on loopback. Never: runs longer than
asked. A half-open connection is let go after 40 s: below 50 seconds not every defence acts.
"""

import argparse
import asyncio
import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopai.answers import write_request

from scripts.support import menu
from scripts.support.artifacts import write_artifact
from scripts.support.bench.execute import EXECUTE, INPUT_SCHEMA, OUTPUT_SCHEMA, PROGRAM, TEXT
from scripts.support.bench.load import Target, measure_steady
from scripts.support.certificates import write_certificates
from scripts.support.chaos.attacks import ATTACKS, Door, attack_for
from scripts.support.rpc.caller import framed, tls_context
from scripts.support.stack import EdgeProcess, until

HONEST_RATE = 200  # calls a second
MAX_CONNECTIONS = 100
MAX_GROWTH_MB = 64
MAX_P99_MS = 20
SAMPLE_S = 0.2
ECHO = 'def run(input_data):\n    return input_data["text"]\n'
LARGE = "a" * 200_000  # fits into one stream's window
ECHO_INPUT = {"type": "object", "properties": {"text": {"type": "string"}}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=menu.amount, default=60, help="50 and more show all act")


def is_good(report: dict[str, Any]) -> bool:
    """Say whether the honest client noticed nothing and the edge held."""
    return (
        report["honest"]["failed"] == 0
        and report["honest"]["answered"] > 0
        and report["honest"]["p99_ms"] < MAX_P99_MS
        and report["rss_growth_mb"] < MAX_GROWTH_MB
        and not report["error_lines"]
        and not report["unmoved"]
    )


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Attack an edge that serves an honest client; return what each of them saw."""
    ca = write_certificates(folder)
    artifacts = folder / "artifacts"
    write_artifact(artifacts, "spam", PROGRAM, INPUT_SCHEMA, OUTPUT_SCHEMA)
    write_artifact(artifacts, "echo", ECHO, ECHO_INPUT, {})
    settings = {
        "artifacts": {"folder": str(artifacts)},
        "listen": {
            "max_connections": MAX_CONNECTIONS,
            "tls": {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")},
        },
    }
    with EdgeProcess(folder, settings) as edge:
        for task in ("spam", "echo"):
            until((edge.data_dir / "artifacts" / task / "active").exists, f"{task} is served")
        honest = Target(address=edge.grpc, method=EXECUTE, message=_request(TEXT, "spam"), ca=ca)
        measure_steady(honest, HONEST_RATE, 2)
        gateway = edge.child_pid("gateway")
        door = Door(
            address=edge.grpc,
            tls=tls_context(ca),
            method=EXECUTE,
            large=framed(_request(LARGE, "echo")),
            connections=MAX_CONNECTIONS + 100,
        )
        say(f"{len(ATTACKS)} kinds of attack for {options.seconds:.0f} s")
        with _rss_sampled(gateway) as rss_mb, _attacked(door, options.seconds) as tries:
            sample = measure_steady(honest, HONEST_RATE, options.seconds)
        counters = defences(edge.http, ca)
        errors = [line for line in _log_lines(edge.log) if line.get("level") == "error"]
        is_same = edge.child_pid("gateway") == gateway
    return {
        "honest": {
            "rate": HONEST_RATE,
            "answered": sample.answered,
            "failed": sample.failed,
            "p50_ms": sample.p50_ms,
            "p99_ms": sample.p99_ms,
        },
        "attacks": tries,
        "counters": counters,
        "unmoved": sorted({a.counter for a in ATTACKS.values() if not counters.get(a.counter)}),
        "rss_mb": rss_mb[0],
        "rss_growth_mb": round(max(rss_mb) - rss_mb[0], 1),
        "gateway_restarted": not is_same,
        "error_lines": errors[:5],
        "load_generator": sample.generator,
    }


def defences(http: str, ca: str) -> dict[str, int]:
    """Return the counters of the gRPC door, as /metrics shows them."""
    url = f"https://localhost:{http.rpartition(':')[2]}/metrics"
    context = tls_context(ca)
    context.set_alpn_protocols(["http/1.1"])
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:
        text = answer.read().decode()
    rows = re.findall(r'edged_door_defences_total\{defence="(\w+)",door="grpc"\} ([0-9.]+)', text)
    return {name: int(float(value)) for name, value in rows}


def read_rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@contextmanager
def _rss_sampled(pid: int) -> Iterator[list[float]]:
    """Yield a list that grows by one sample every SAMPLE_S."""
    samples = [round(read_rss_mb(pid), 1)]
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(SAMPLE_S):
            samples.append(round(read_rss_mb(pid), 1))

    thread = threading.Thread(target=sample, name="rss")
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _attacked(door: Door, seconds: float) -> Iterator[dict[str, int]]:
    """Run the attackers in a thread; the tally is whole when the block has ended."""
    tries: dict[str, int] = {}
    thread = threading.Thread(
        target=lambda: tries.update(asyncio.run(attack_for(door, seconds))), name="attackers"
    )
    thread.start()
    try:
        yield tries
    finally:
        thread.join()


def _request(text: str, task: str) -> bytes:
    return bytes(write_request({"text": text}, task, "", 0).SerializeToString())


def _log_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)
