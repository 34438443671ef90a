"""Hold many idle Connect streams on one control plane, plain and by TLS, and push to all of them.

What a stream costs is the growth of the server's resident memory, after as many as a tenth were
opened and closed, so that what the first ones load is not charged to the rest.
"""

import argparse
import asyncio
import resource
import ssl
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme
from loopai.controlplane import ControlPlane
from loopai.security import Tls

from scripts.support import menu
from scripts.support.bench.light_edge import LightEdge
from scripts.support.stack import ControlPlaneProcess

AT_A_TIME = 20  # of connections that are being made
WAIT_S = 120.0
SETTLE_S = 2.0
# A program of a usual size: what `ml` makes of some hundred examples.
PROGRAM = f"TABLE = {'x' * 400_000!r}\n\n\ndef run(input_data):\n    return len(TABLE)\n"
Say = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=menu.count, default=1_000, help="[default: 1000]")


def run(folder: Path, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Return both cases; the figures on top are those of TLS, which costs more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    cases = []
    for name in ("plain", "tls"):
        place = folder / name
        place.mkdir()
        tls = _certificate(place) if name == "tls" else {}
        with ControlPlaneProcess(place, **tls) as server:
            cases.append({"doors": name, **asyncio.run(_measure(server, place, options, say))})
    dearer = cases[-1]
    top = ("streams", "rss_before_mb", "rss_after_mb", "rss_per_stream_kb", "push_seconds")
    return {"cases": cases, **{name: dearer[name] for name in top}}


def describe(report: dict[str, Any]) -> str:
    """Return the cases in words."""
    return "\n".join(
        f"{case['doors']:>5}: {case['streams']} streams, {case['rss_before_mb']:.1f} MB before, "
        f"{case['rss_after_mb']:.1f} MB with them, {case['rss_per_stream_kb']:.1f} KB each; "
        f"{case['artifact_kb']:.0f} KB pushed to all in {case['push_seconds']:.1f} s"
        for case in report["cases"]
    )


async def _measure(
    server: ControlPlaneProcess, folder: Path, options: argparse.Namespace, say: Say
) -> dict[str, Any]:
    fleet = Fleet(server, folder)
    await fleet.grow(options.streams // 10)
    await fleet.leave()
    await asyncio.sleep(SETTLE_S)
    before_mb = _rss_mb(server.pid)
    started_s = time.monotonic()
    await fleet.grow(options.streams)
    connected_s = time.monotonic() - started_s
    await asyncio.sleep(SETTLE_S)
    after_mb = _rss_mb(server.pid)
    say(f"{fleet.size} streams: {before_mb:.1f} MB, then {after_mb:.1f} MB")
    pushed_s, size = await fleet.push()
    streams = fleet.size
    await fleet.leave()
    return {
        "streams": streams,
        "rss_before_mb": before_mb,
        "rss_after_mb": after_mb,
        "rss_per_stream_kb": round((after_mb - before_mb) * 1024 / streams, 2),
        "connect_seconds": round(connected_s, 2),
        "push_seconds": round(pushed_s, 2),
        "artifact_kb": round(size / 1024, 1),
        "rss_after_push_mb": _rss_mb(server.pid),
    }


class Fleet:
    """Light edges at one control plane."""

    def __init__(self, server: ControlPlaneProcess, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._tls = Tls(ca=folder / "ca.pem") if server.url.startswith("https") else None
        self._edges: list[LightEdge] = []
        self._heard: Counter[str] = Counter()

    @property
    def size(self) -> int:
        return len(self._edges)

    async def grow(self, count: int) -> None:
        """Open streams; each stands when its first state has come."""
        context = self._tls.context() if self._tls else None
        if context is not None:
            context.set_alpn_protocols(["h2"])
        for start in range(0, count, AT_A_TIME):
            opening = [
                self._open(number, context)
                for number in range(start, min(start + AT_A_TIME, count))
            ]
            self._edges += await asyncio.gather(*opening)
            await self._until("state", len(self._edges))

    async def leave(self) -> None:
        for edge in self._edges:
            edge.close()
        self._edges.clear()
        self._heard.clear()

    async def push(self) -> tuple[float, int]:
        """Activate a version; return how long until every edge has it, and its size in bytes."""
        program = self._folder / "program.py"
        program.write_text(PROGRAM)
        with ControlPlane(self._server.url, self._server.api_key, tls=self._tls) as home:
            example = {"input": {}, "output": 400_000}
            await asyncio.to_thread(home.create_task, "pushed", examples=[example])
            made = await asyncio.to_thread(home.upload, "pushed", program)
            started_s = time.monotonic()
            await asyncio.to_thread(home.activate, "pushed", made["version"])
            await self._until("fetched", self.size)
        return time.monotonic() - started_s, made["size_bytes"]

    async def _open(self, number: int, context: ssl.SSLContext | None) -> LightEdge:
        server, name = self._server, f"edge-{number}"
        return await LightEdge.open(server.link, context, server.api_key, name, self._hear)

    def _hear(self, what: str) -> None:
        self._heard[what] += 1

    async def _until(self, what: str, count: int) -> None:
        """Wait for so many. Raises RuntimeError when something went wrong."""
        async with asyncio.timeout(WAIT_S):
            while self._heard[what] < count:
                wrong = set(self._heard) - {"state", "fetched"}
                if wrong:
                    raise RuntimeError(f"{', '.join(wrong)}\n{self._server.tail()}")
                await asyncio.sleep(0.01)


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return round(int(line.split()[1]) / 1024, 2)


def _certificate(folder: Path) -> dict[str, str]:
    """Make a private authority and a certificate; return the server's settings."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    pem = folder / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    return {"LOOPAI_TLS_CERTIFICATE": str(pem), "LOOPAI_TLS_KEY": str(pem)}
