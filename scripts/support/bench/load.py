"""Measure one unary gRPC method under a closed loop: h2load where present, else a client of ours.

Runs in: scripts/bench, and as a process of its own, which is our own generator.
Only answers with grpc-status 0 count. Never: aims at anything but loopback.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import uvloop

OWN = "grpc.aio client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement. failed: answers whose status was not 0, as far as the generator can see."""

    rps: float
    p50_ms: float
    p99_ms: float
    answered: int
    failed: int


def generator_name() -> str:
    return "h2load" if shutil.which("h2load") else OWN


def measure(address: str, method: str, message: bytes, in_flight: int, seconds: float) -> Sample:
    """Keep `in_flight` calls going for `seconds`. method: /package.Service/Method."""
    if generator_name() == "h2load":
        return _measure_h2load(address, method, message, in_flight, seconds)
    words = [address, method, message.hex(), str(in_flight), str(seconds)]
    command = [sys.executable, "-m", "scripts.support.bench.load", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Sample(**json.loads(done.stdout))


def _measure_h2load(
    address: str, method: str, message: bytes, in_flight: int, seconds: float
) -> Sample:
    """See HTTP statuses only: the caller compares `answered` with what the server counted."""
    connections = max(1, in_flight // 8) if in_flight <= 32 else 8
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        command = [
            "h2load", f"-c{connections}", f"-m{in_flight // connections}", "-t1",
            f"-D{int(seconds * 1000)}ms", f"-d{body}", f"--log-file={log}",
            "-Hcontent-type: application/grpc", "-Hte: trailers", f"http://{address}{method}",
        ]  # fmt: skip
        subprocess.run(command, capture_output=True, check=True)
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    taken_ms = [int(row[2]) / 1000 for row in rows if row[1] == "200"]
    return _sample(taken_ms, len(rows) - len(taken_ms), seconds)


async def _measure_own(
    address: str, method: str, message: bytes, in_flight: int, seconds: float
) -> Sample:
    taken_ms: list[float] = []
    failed = 0
    connections = max(1, min(8, in_flight // 8))
    # Channels share one connection unless told otherwise.
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(connections)]
    end_s = time.perf_counter() + seconds

    async def call_in_a_loop(channel: grpc.aio.Channel) -> None:
        nonlocal failed
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        while (begun_s := time.perf_counter()) < end_s:
            try:
                await call(message)
            except grpc.aio.AioRpcError:
                failed += 1
            else:
                taken_ms.append((time.perf_counter() - begun_s) * 1000)

    async with asyncio.TaskGroup() as tasks:
        for number in range(in_flight):
            tasks.create_task(call_in_a_loop(channels[number % connections]))
    for channel in channels:
        await channel.close()
    return _sample(taken_ms, failed, seconds)


def _sample(taken_ms: list[float], failed: int, seconds: float) -> Sample:
    ordered = sorted(taken_ms) or [float("nan")]
    return Sample(
        rps=round(len(taken_ms) / seconds, 1),
        p50_ms=round(ordered[len(ordered) // 2], 4),
        p99_ms=round(ordered[int(len(ordered) * 0.99)], 4),
        answered=len(taken_ms),
        failed=failed,
    )


if __name__ == "__main__":
    target, path, payload, calls, duration = sys.argv[1:]
    result = uvloop.run(
        _measure_own(target, path, bytes.fromhex(payload), int(calls), float(duration))
    )
    print(json.dumps(asdict(result)))
