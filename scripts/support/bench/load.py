"""Measure one method under a closed loop or at a steady rate; each sample names its generator.

Two generators. h2load, where present, for closed loops: written in C, it takes least of the cores
that it shares with the server. It sees HTTP statuses only, so a sample also needs as many bytes of
messages as that many good answers have, and calls of ours before and after it look at grpc-status.
Our own (generator.py) elsewhere, and for the steady rate, where latency must count from the moment
a call should have been sent; it looks at the grpc-status of every answer.

Runs in: scripts/bench. Never: aims at anything but loopback.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.support.rpc.caller import framed

H2LOAD = "h2load"
OWN = "ngh2 on uvloop"
CONNECTIONS = 8  # at most
STEADY_CONNECTIONS = 4
CHECKED_CALLS = 50  # of ours, before and after each run of h2load
GRPC_HEADERS = ("content-type: application/grpc", "te: trailers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is called. method: /package.Service/Method, or the path of a POST.

    ca: path of the authority to trust; TLS with it. http1: the message is a JSON body to POST.
    """

    address: str
    method: str
    message: bytes
    ca: str | None = None
    http1: bool = False
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        return f"{'https' if self.ca else 'http'}://{self.address}{self.method}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement. answered: calls with status 0 (HTTP: 2xx); failed: all others."""

    rps: float
    p50_ms: float
    p99_ms: float
    answered: int
    failed: int
    data_bytes: int
    generator: str

    @classmethod
    def of(
        cls, taken_ms: list[float], failed: int, seconds: float, data_bytes: int, generator: str
    ) -> "Sample":
        """Summarise the times of the answered calls."""
        ordered = sorted(taken_ms) or [0.0]
        return cls(
            rps=round(len(taken_ms) / seconds, 1),
            p50_ms=round(ordered[len(ordered) // 2], 4),
            p99_ms=round(ordered[int(len(ordered) * 0.99)], 4),
            answered=len(taken_ms),
            failed=failed,
            data_bytes=data_bytes,
            generator=generator,
        )


def generator_name() -> str:
    """Return the generator of closed loops."""
    return H2LOAD if shutil.which(H2LOAD) else OWN


def connections_for(in_flight: int) -> int:
    return min(CONNECTIONS, max(1, in_flight // 8))


def measure(target: Target, in_flight: int, seconds: float) -> Sample:
    """Keep `in_flight` calls going for `seconds`."""
    if generator_name() == OWN:
        return _own(target, in_flight=in_flight, seconds=seconds)
    if target.http1:
        return _h2load(target, in_flight, seconds)
    before = _own(target, in_flight=1, calls=CHECKED_CALLS)
    sample = _h2load(target, in_flight, seconds)
    after = _own(target, in_flight=1, calls=CHECKED_CALLS)
    unlike = sample.data_bytes - _expected_bytes(sample, before, after)
    if before.failed or after.failed or abs(unlike) > sample.data_bytes // 50:
        return _as_failed(sample)
    return sample


def measure_steady(target: Target, rate: float, seconds: float) -> Sample:
    """Send `rate` calls a second, whatever comes back. Latency counts from the intended moment."""
    return _own(target, rate=rate, seconds=seconds)


def _own(target: Target, **how: float) -> Sample:
    command = [sys.executable, "-m", "scripts.support.bench.generator"]
    words = json.dumps({"target": {**asdict(target), "message": target.message.hex()}, **how})
    done = subprocess.run([*command, words], stdout=subprocess.PIPE, text=True, check=True)
    return Sample(**json.loads(done.stdout))


def _h2load(target: Target, in_flight: int, seconds: float) -> Sample:
    connections = in_flight if target.http1 else connections_for(in_flight)
    headers = ("content-type: application/json",) if target.http1 else GRPC_HEADERS
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(target.message if target.http1 else framed(target.message))
        command = [
            H2LOAD, f"-c{connections}", f"-m{in_flight // connections}", "-t1",
            f"-D{int(seconds * 1000)}ms", f"-d{body}", f"--log-file={log}",
            *(["--h1"] if target.http1 else []),
            *(f"-H{header}" for header in headers),
            *(f"-H{name}: {value}" for name, value in target.metadata),
            target.url,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    taken_ms = [int(row[2]) / 1000 for row in rows if row[1].startswith("2")]
    found = re.search(r"\((\d+)\) data", done.stdout)
    data_bytes = int(found[1]) if found else 0
    return Sample.of(taken_ms, len(rows) - len(taken_ms), seconds, data_bytes, H2LOAD)


def _expected_bytes(sample: Sample, before: Sample, after: Sample) -> int:
    """Return the bytes of as many good answers: a failed gRPC call answers without a message."""
    checked = max(1, before.answered + after.answered)
    return (before.data_bytes + after.data_bytes) * sample.answered // checked


def _as_failed(sample: Sample) -> Sample:
    """Return a sample in which nothing counts: the statuses did not hold."""
    fields = {**asdict(sample), "rps": 0.0, "answered": 0, "failed": sample.answered}
    return Sample(**fields)
