"""Take the disk away under load, in three ways, and look for what was promised.

Runs in: scripts/chaos disk. Talks to: an edge and a control plane that it started, on loopback; the
edge's data lies on a tmpfs of the scenario's own, and it runs as an unprivileged user.

Full: not a byte is free. Read-only: remounted. Forbidden: the folders lose their permissions. The
last two begin on a full disk: then the gateway holds no file open, which the kernel wants before it
remounts, and without which a lost permission is not noticed.

Under `refuse` no call is answered without its line; under `serve` those that are get counted. Both
show in /readyz and in grpc.health.v1, both end without a restart, and no line is torn.
"""

import argparse
import json
import os
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from loopai.controlplane import ControlPlane

from edged.agent.telemetry import UNLOGGED
from scripts.support import menu
from scripts.support.chaos.kill import TASK, Load, counted, publish
from scripts.support.chaos.mounts import SmallDisk, enter_private_mounts
from scripts.support.stack import ControlPlaneProcess, EdgeProcess, until

POLICIES = ("refuse", "serve")
DISK_MB = 64
# Strict: then the agent keeps no audit log open, which the kernel would wait for too.
EDGE = {"telemetry": {"upload_interval_sec": 1, "privacy_mode": "strict"}}
SERVING = health_pb2.HealthCheckResponse.SERVING


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policy", choices=POLICIES, action="append", help="default: both")
    parser.add_argument("--seconds", type=menu.amount, default=2, help="of each fault once seen")


def is_good(report: dict[str, Any]) -> bool:
    """Say whether every policy kept its word."""
    return all(_is_kept(name, one) for name, one in report["policies"].items())


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the faults under each policy."""
    user = enter_private_mounts()
    folder.chmod(0o755)  # the edge's user passes through
    report = {}
    for policy in options.policy or POLICIES:
        say(f"storage.on_full: {policy}")
        report[policy] = _run_policy(folder / policy, policy, user, options.seconds, say)
    return {"user": user, "policies": report}


def _run_policy(
    folder: Path, policy: str, user: int | None, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    folder.mkdir()
    disk = SmallDisk(folder / "loopai-data", DISK_MB)
    with ExitStack() as stack:
        server = stack.enter_context(ControlPlaneProcess(folder))
        home = stack.enter_context(ControlPlane(server.url, server.api_key))
        publish(folder, home)
        disk.mount(user)
        stack.callback(disk.unmount)
        edge = EdgeProcess(folder, {**EDGE, "storage": {"on_full": policy}}, server)
        edge.user = user
        _give(edge.data_dir, user)
        stack.enter_context(edge)
        until((edge.data_dir / "artifacts" / TASK / "active").exists, "the edge serves")
        load = Load(edge.grpc)
        load.start()
        stack.callback(load.stop)
        faults = {}
        for name, fault in FAULTS.items():
            faults[name] = _endure(edge, load, fault(disk, edge), policy, seconds)
            say(f"{name}: {faults[name]}")
        load.stop()
        return _settle(edge, home, load, faults)


def _endure(
    edge: EdgeProcess, load: Load, fault: Any, policy: str, seconds: float
) -> dict[str, Any]:
    """Let one fault come and go under load; returns what was seen meanwhile."""
    until(lambda: len(load.ids) > 0 and not _problem(edge), "the edge is well")
    begun_s = time.monotonic()
    with fault as reason:
        until(lambda: reason in _problem(edge), f"/readyz says {reason}")
        seen_ms = (time.monotonic() - begun_s) * 1000
        is_serving = _is_serving(edge)
        answers, refusals = len(load.ids), load.retries
        time.sleep(seconds)
        answers, refusals = len(load.ids) - answers, load.retries - refusals
        health = {"ready": _readyz(edge)["ready"], "problem": _problem(edge)}
    healed_s = time.monotonic()
    until(lambda: load.first_answer_s(healed_s) is not None, "calls are answered again")
    until(lambda: not _problem(edge) and _is_serving(edge), "health is well again")
    return {
        "seen_ms": round(seen_ms),
        "recovered_ms": round((time.monotonic() - healed_s) * 1000),
        "answers": answers,
        "refusals": refusals,
        "grpc_health": "SERVING" if is_serving else "NOT_SERVING",
        **health,
        "as_stated": is_serving is health["ready"] is (policy == "serve")
        and bool(refusals) is (policy == "refuse"),
    }


def _settle(
    edge: EdgeProcess, home: ControlPlane, load: Load, faults: dict[str, Any]
) -> dict[str, Any]:
    """Compare what was answered with what is in the log and at home."""
    unlogged = _unlogged(edge)
    restarts = len(edge.events("child_started")) - 2
    texts = [
        line
        for path in (edge.data_dir / "datasets" / TASK / "executions").glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    lines = Counter(filter(None, map(_id_of, texts)))
    until(lambda: counted(home, TASK) >= len(texts), "all lines are counted at home")
    until(lambda: _unlogged_home(home) >= unlogged, "home knows of those without a line")
    return {
        "faults": faults,
        "answers": len(load.ids),
        "missing": sum(lines[identifier] == 0 for identifier in load.ids),
        "duplicated": sum(count > 1 for count in lines.values()),
        "unlogged": unlogged,
        "unlogged_home": _unlogged_home(home),
        "lines": len(texts),
        "torn_lines": len(texts) - lines.total(),
        "counted_home": counted(home, TASK),
        "restarts": restarts,
        "failures": dict(load.failures),
    }


def _is_kept(policy: str, one: dict[str, Any]) -> bool:
    is_clean = not (one["duplicated"] or one["torn_lines"] or one["restarts"] or one["failures"])
    is_counted = one["missing"] == one["unlogged"] == one["unlogged_home"]
    is_counted &= one["counted_home"] == one["lines"]
    is_stated = all(fault["as_stated"] for fault in one["faults"].values())
    return is_clean and is_counted and is_stated and (policy == "serve" or not one["missing"])


def _unlogged_home(home: ControlPlane) -> int:
    [edge] = home.edges()
    return int(edge["dropped"].get(UNLOGGED, 0))


@contextmanager
def _full(disk: SmallDisk, _edge: EdgeProcess) -> Iterator[str]:
    disk.fill()
    try:
        yield "No space left"
    finally:
        disk.free()


@contextmanager
def _read_only(disk: SmallDisk, edge: EdgeProcess) -> Iterator[str]:
    disk.fill()
    until(lambda: bool(_problem(edge)), "the full disk is seen")
    until(disk.try_make_read_only, "the disk is read-only")
    try:
        yield "Read-only"
    finally:
        disk.make_writable()
        disk.free()


@contextmanager
def _forbidden(disk: SmallDisk, edge: EdgeProcess) -> Iterator[str]:
    datasets = edge.data_dir / "datasets"
    folders = [datasets, datasets / TASK, datasets / TASK / "executions"]
    disk.fill()
    until(lambda: bool(_problem(edge)), "the full disk is seen")
    for folder in folders:
        folder.chmod(0o000)
    disk.free()
    try:
        yield "Permission denied"
    finally:
        for folder in folders:
            folder.chmod(0o755)


FAULTS = {"full": _full, "read_only": _read_only, "forbidden": _forbidden}


def _give(folder: Path, user: int | None) -> None:
    """Make everything in a folder a user's own."""
    if user is not None:
        for path in folder.rglob("*"):
            os.chown(path, user, user)


def _readyz(edge: EdgeProcess) -> Any:
    try:
        with urllib.request.urlopen(f"http://{edge.http}/readyz", timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:  # 503 says the same in its body
        return json.load(error)


def _problem(edge: EdgeProcess) -> str:
    return str(_readyz(edge)["problems"].get("log", ""))


def _is_serving(edge: EdgeProcess) -> bool:
    with grpc.insecure_channel(edge.grpc) as channel:
        request = health_pb2.HealthCheckRequest(service=f"loopai.task.{TASK}")
        stub: Any = health_pb2_grpc.HealthStub(channel)  # the stubs' types know the async one only
        answer = stub.Check(request, timeout=5)
    return bool(answer.status == SERVING)


def _unlogged(edge: EdgeProcess) -> int:
    """Return how many executions the gateway says it answered without a line."""
    with urllib.request.urlopen(f"http://{edge.http}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = next(row for row in text.splitlines() if row.startswith("edged_executions_unlogged_"))
    return int(float(found.split()[1]))


def _id_of(line: bytes) -> str:
    try:
        return str(json.loads(line)["execution_id"])
    except (ValueError, KeyError, TypeError):
        return ""
