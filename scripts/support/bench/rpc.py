"""Measure our RPC server beside grpc.aio: empty unary handlers, plain and TLS, rounds interleaved.

Runs in: scripts/bench rpc. Never: asserts; it returns figures.
"""

import argparse
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.support import menu
from scripts.support.bench import empty
from scripts.support.bench.cases import compare
from scripts.support.bench.load import Target, generator_name, measure
from scripts.support.certificates import write_certificates

IN_FLIGHT = (1, 32, 256)
MESSAGE = bytes(100)  # about what a short Execute request is
WARM_UP_S = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=5, help="of each case and server, over all rounds"
    )
    parser.add_argument("--rounds", type=menu.count, default=5)


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Return a case for each transport and number in flight: our two entries and the peer."""
    ca = write_certificates(folder)
    with empty.started("ours", folder) as ours, empty.started("grpcio", folder) as peer:
        cases = [
            _case(ours[transport], peer[transport], ca, transport, in_flight, options, say)
            for transport in ("plain", "tls")
            for in_flight in IN_FLIGHT
        ]
    return {
        "cases": cases,
        "failed": sum(case[entry]["failed"] for case in cases for entry in ("raw", "normal")),
        "message_bytes": len(MESSAGE),
        "rounds": options.rounds,
        "load_generator": generator_name(),
        "peer": "empty grpc.aio handler",
        "python": platform.python_version(),
    }


def describe(report: dict[str, Any]) -> str:
    """Return the cases in words."""
    return "\n".join(
        f"{case['transport']:>5}, {case['in_flight']:>3} in flight: "
        f"raw {case['raw']['rps']:>6.0f}/s ({case['raw']['ratio']:.2f}x), "
        f"normal {case['normal']['rps']:>6.0f}/s ({case['normal']['ratio']:.2f}x), "
        f"grpc.aio {case['raw']['peer_rps']:>6.0f}/s; p50 {case['raw']['p50_ms']:.2f}, "
        f"{case['normal']['p50_ms']:.2f} and {case['raw']['peer_p50_ms']:.2f} ms"
        for case in report["cases"]
    )


def _case(
    ours: str,
    peer: str,
    ca: str,
    transport: str,
    in_flight: int,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> dict[str, Any]:
    trusted = ca if transport == "tls" else None
    targets = {
        name: Target(address=address, method=method, message=MESSAGE, ca=trusted)
        for name, address, method in (
            ("raw", ours, empty.RAW),
            ("normal", ours, empty.NORMAL),
            ("peer", peer, empty.NORMAL),
        )
    }
    seconds = options.seconds / options.rounds
    for target in targets.values():
        measure(target, in_flight, WARM_UP_S)
    rounds = []
    for number in range(options.rounds):
        say(f"{transport}, {in_flight} in flight, round {number + 1}")
        rounds.append({n: measure(target, in_flight, seconds) for n, target in targets.items()})
    samples = {name: [samples[name] for samples in rounds] for name in targets}
    return {
        "transport": transport,
        "in_flight": in_flight,
        "raw": compare(samples["raw"], samples["peer"]),
        "normal": compare(samples["normal"], samples["peer"]),
    }
