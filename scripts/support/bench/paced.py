"""Call one unary gRPC method at a steady rate and keep the times: an open loop.

Runs in: scripts/chaos and scripts/bench, and as a process of its own, which is our own generator
where h2load is missing. A call is sent when its time has come, whatever became of the others.
Never: aims at anything but loopback.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import uvloop

CONNECTIONS = 4
STREAMS = 256  # of one connection; far more than are ever in flight unless the edge stands still


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """One measurement. failed: calls without an answer, or refused."""

    rps: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    failed: int


def measure_paced(address: str, method: str, message: bytes, rps: int, seconds: float) -> Paced:
    """method: /package.Service/Method."""
    if shutil.which("h2load"):
        return _measure_h2load(address, method, message, rps, seconds)
    words = [address, method, message.hex(), str(rps), str(seconds)]
    command = [sys.executable, "-m", "scripts.support.bench.paced", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken_ms, failed = json.loads(done.stdout)
    return _paced(taken_ms, failed, seconds)


def _measure_h2load(address: str, method: str, message: bytes, rps: int, seconds: float) -> Paced:
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        command = [
            "h2load", f"-c{CONNECTIONS}", f"-m{STREAMS}", "-t1", f"--rps={rps // CONNECTIONS}",
            f"-D{int(seconds * 1000)}ms", f"-d{body}", f"--log-file={log}",
            "-Hcontent-type: application/grpc", "-Hte: trailers", f"http://{address}{method}",
        ]  # fmt: skip
        subprocess.run(command, capture_output=True, check=True)
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    taken_ms = [int(row[2]) / 1000 for row in rows if row[1] == "200"]
    return _paced(taken_ms, len(rows) - len(taken_ms), seconds)


async def _measure_own(
    address: str, method: str, message: bytes, rps: int, seconds: float
) -> tuple[list[float], int]:
    taken_ms: list[float] = []
    failed = 0
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(CONNECTIONS)]

    async def call(channel: grpc.aio.Channel) -> None:
        nonlocal failed
        begun_s = time.perf_counter()
        try:
            one: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            await one(message)
        except grpc.aio.AioRpcError:
            failed += 1
        else:
            taken_ms.append((time.perf_counter() - begun_s) * 1000)

    begun_s = time.perf_counter()
    sent = 0
    async with asyncio.TaskGroup() as tasks:
        while (passed_s := time.perf_counter() - begun_s) < seconds:
            while sent < passed_s * rps:
                tasks.create_task(call(channels[sent % CONNECTIONS]))
                sent += 1
            await asyncio.sleep(0.001)
    for channel in channels:
        await channel.close()
    return taken_ms, failed


def _paced(taken_ms: list[float], failed: int, seconds: float) -> Paced:
    ordered = sorted(taken_ms) or [float("nan")]
    return Paced(
        rps=round(len(taken_ms) / seconds, 1),
        p50_ms=round(ordered[len(ordered) // 2], 3),
        p99_ms=round(ordered[int(len(ordered) * 0.99)], 3),
        max_ms=round(ordered[-1], 3),
        failed=failed,
    )


if __name__ == "__main__":
    target, path, payload, rate, duration = sys.argv[1:]
    print(
        json.dumps(
            uvloop.run(
                _measure_own(target, path, bytes.fromhex(payload), int(rate), float(duration))
            )
        )
    )
