"""Measure what following the execution log costs the agent, live and through a backlog.

Runs in: scripts/bench follow. Talks to: a real edge and a real control plane, which it starts. The
log is written past the gateway, so that the machine's cores are the agent's. Never: asserts.

`counted` sends counts only (privacy mode strict): that is following. `sampled` is the default: the
audit samples, 5 % of the calls, also go through the privacy filter, which costs by the sample.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uuid_utils
from loopai.controlplane import ControlPlane

from edged.datasets.layout import Layout
from edged.datasets.records import Execution, Timestamps, render
from edged.datasets.writer import LogWriter
from scripts.support import menu
from scripts.support.bench.execute import TEXT
from scripts.support.stack import ControlPlaneProcess, EdgeProcess, until

TASK = "spam"
WRITES_PER_S = 100
BLOCK_LINES = 10_000
FILE_BYTES = 1 << 30
SETTLING_S = 3.0  # the start's own work, and the nicing after it
CASES = {"counted": "strict", "sampled": "balanced"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=menu.amount, default=15, help="of each live case")
    parser.add_argument("--rate", type=menu.count, default=10_000, help="lines a second, live")
    parser.add_argument("--backlog-gb", type=float, default=5, help="0: leave the backlog out")


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the agent's share of one core live, and the rate through a backlog."""
    report: dict[str, Any] = {"cores": os.cpu_count()}
    with ExitStack() as stack:
        server = stack.enter_context(ControlPlaneProcess(folder / "home"))
        home = stack.enter_context(ControlPlane(server.url, server.api_key))
        home.create_task(TASK, input_schema={}, output_schema={})
        for name, mode in CASES.items():
            say(f"{name}: {options.rate} lines a second for {options.seconds:.0f} s")
            report[name] = _live(folder / name, server, home, mode, options)
        counted, sampled = (report[name]["cpu_us_per_line"] for name in CASES)
        samples = report["sampled"]["samples"]
        if samples:
            extra_us = (sampled - counted) * report["sampled"]["lines"]
            report["filter_us_per_sample"] = round(extra_us / samples, 1)
        if options.backlog_gb:
            say(f"backlog: {options.backlog_gb} GB")
            report["backlog"] = _backlog(folder / "backlog", server, home, options.backlog_gb)
    return report


def describe(report: dict[str, Any]) -> str:
    """Return the figures in words."""
    lines = [
        f"{name}: {case['core_share']:.1%} of one core at {case['rate']}/s "
        f"({case['cpu_us_per_line']} us a line)"
        for name, case in ((name, report[name]) for name in CASES)
    ]
    if "backlog" in report:
        backlog = report["backlog"]
        lines.append(f"backlog of {backlog['gb']} GB: {backlog['records_per_s']} records/s")
    return "\n".join(lines)


def _live(
    folder: Path,
    server: ControlPlaneProcess,
    home: ControlPlane,
    mode: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    before = _counted(home)
    with EdgeProcess(folder, _settings(mode), server) as edge:
        until(lambda: bool(edge.events("link_up")), "the link is up")
        agent = edge.child_pid("agent")
        time.sleep(SETTLING_S)
        idle_s = _cpu_s(agent)
        time.sleep(2)
        idle_share = (_cpu_s(agent) - idle_s) / 2
        begun_s, used_s = time.monotonic(), _cpu_s(agent)
        lines = _write(Layout(edge.data_dir), options.rate, options.seconds)
        written_s = time.monotonic() - begun_s
        until(lambda: _followed(edge) >= _logged(edge), "the agent is through")
        used_s = _cpu_s(agent) - used_s  # of all the work, in the time that the calls took
        edge.stop()  # seals and sends the rest
        sealed = edge.events("batch_sealed")
    until(lambda: _counted(home) - before >= lines, "every line is counted at home")
    return {
        "rate": round(lines / written_s),
        "lines": lines,
        "counted_home": _counted(home) - before,
        "samples": sum(batch["records"] for batch in sealed),
        "core_share": round(used_s / written_s, 4),
        "idle_core_share": round(idle_share, 4),
        "cpu_us_per_line": round(used_s / lines * 1e6, 2),
    }


def _backlog(
    folder: Path, server: ControlPlaneProcess, home: ControlPlane, gigabytes: float
) -> dict[str, Any]:
    """Let an edge start on a log that nobody followed yet."""
    before = _counted(home)
    edge = EdgeProcess(folder, _settings("strict"), server)
    size, lines = _write_backlog(Layout(edge.data_dir), int(gigabytes * 1e9))
    with edge:
        begun_s = time.monotonic()
        until(lambda: _followed(edge) >= size, "the agent is through", timeout_s=900)
        taken_s = time.monotonic() - begun_s
        used_s = _cpu_s(edge.child_pid("agent"))
        edge.stop()
    until(lambda: _counted(home) - before >= lines, "every line is counted at home")
    return {
        "gb": round(size / 1e9, 2),
        "records": lines,
        "seconds": round(taken_s, 1),
        "records_per_s": round(lines / taken_s),
        "agent_core_share": round(used_s / taken_s, 2),
        "counted_home": _counted(home) - before,
    }


def _settings(mode: str) -> dict[str, Any]:
    return {"telemetry": {"privacy_mode": mode, "upload_interval_sec": 1}}


def _write(layout: Layout, rate: int, seconds: float) -> int:
    """Append at a steady rate, as a second writer beside the gateway; returns the lines."""
    writer = LogWriter(layout, "executions", time.time)
    timestamps = Timestamps()
    per_write = rate // WRITES_PER_S
    begun_s = time.monotonic()
    for number in range(int(seconds * WRITES_PER_S)):
        now = timestamps.text(time.time())
        writer.append(TASK, [_line(now) for _ in range(per_write)])
        time.sleep(max(0.0, begun_s + (number + 1) / WRITES_PER_S - time.monotonic()))
    writer.close()
    return int(seconds * WRITES_PER_S) * per_write


def _write_backlog(layout: Layout, size: int) -> tuple[int, int]:
    """Write files of one block of lines, again and again; returns bytes and lines."""
    now = Timestamps().text(time.time())
    block = b"".join(_line(now) for _ in range(BLOCK_LINES))
    log = layout.log(TASK, "executions")
    log.mkdir(parents=True)
    blocks = max(1, size // len(block))
    per_file = FILE_BYTES // len(block)
    for number in range(0, blocks, per_file):
        suffix = f".{number // per_file}" if number else ""
        with (log / f"{datetime.now(UTC):%Y-%m-%d}{suffix}.jsonl").open("wb") as file:
            for _ in range(min(per_file, blocks - number)):
                file.write(block)
    return blocks * len(block), blocks * BLOCK_LINES


def _line(timestamp: str) -> bytes:
    execution = Execution(
        execution_id=str(uuid_utils.uuid7()),
        task=TASK,
        version=1,
        arm="stable",
        input_json=json.dumps({"text": TEXT}).encode(),
        output_json=b'"spam"',
        latency_ms=0.2134,
    )
    return render(execution, timestamp)


def _followed(edge: EdgeProcess) -> int:
    """Return how many bytes telemetry and the statistics have taken, whichever is behind."""
    try:
        sealed = json.loads((edge.data_dir / "state" / "telemetry.json").read_bytes())
        telemetry = sum(sealed["positions"].get("executions", {}).values())
    except FileNotFoundError:
        return 0
    counted = 0
    for path in (edge.data_dir / "datasets" / TASK / "analytics").glob("daily-stats-*.json"):
        counted += sum(json.loads(path.read_bytes())["positions"].values())
    return min(int(telemetry), counted)


def _logged(edge: EdgeProcess) -> int:
    folder = edge.data_dir / "datasets" / TASK / "executions"
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


def _counted(home: ControlPlane) -> int:
    return sum(int(arm["executions"]) for arm in home.telemetry(TASK)["arms"])


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process with its threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
