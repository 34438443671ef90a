"""Kill each of the edge's processes at random every second, with home cut off a third of the time.

Runs in: scripts/chaos edge. Talks to: processes it started, on loopback. Never: kills anything
else, or runs on when the executions asked for are answered.
"""

import argparse
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loopai.controlplane import ControlPlane

from scripts.support import menu
from scripts.support.cable import Cable
from scripts.support.chaos.kill import EDGE, TASK, Load, counted, publish
from scripts.support.processes import children
from scripts.support.stack import ControlPlaneProcess, EdgeProcess, StackError, until

KILL_EVERY_S = 1.0
CABLE_IN_S, CABLE_OUT_S = 6.0, 3.0
COUNTED_S = 120.0
RESTARTS, RESTART_S = 10, 0.5
VICTIMS = ("gateway", "zygote", "worker", "agent", "supervisor")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--executions", type=menu.count, default=20_000, help="answers to wait for")
    parser.add_argument("--callers", type=menu.count, default=32)
    parser.add_argument("--seconds", type=menu.amount, default=900, help="give up after this time")
    parser.add_argument("--seed", type=int, default=None, help="of what is killed when")


def is_good(report: dict[str, Any]) -> bool:
    """Say whether every answer is in the log once, and every line was counted once."""
    is_whole = report["counted_home"] == report["lines"] and report["is_complete"]
    extra = report["lines"] - report["answers"]
    is_exact = not report["missing"] and not report["duplicated"]
    return is_whole and is_exact and 0 <= extra <= report["failed_calls"]


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Kill and cut under load until enough is answered; then compare answers, log and home."""
    with ExitStack() as stack:
        server = stack.enter_context(ControlPlaneProcess(folder))
        home = stack.enter_context(ControlPlane(server.url, server.api_key))
        publish(folder, home)
        cable = stack.enter_context(Cable(server.link))
        link = ("--link", f"http://{cable.address}")
        edge = stack.enter_context(EdgeProcess(folder, EDGE, server, *link))
        until((edge.data_dir / "artifacts" / TASK / "active").exists, "the edge serves")
        load = Load(edge.grpc, callers=options.callers)
        load.start()
        stack.callback(load.stop)
        chaos = Chaos(edge, cable, random.Random(options.seed))
        begun_s = time.monotonic()
        chaos.run(load, options.executions, begun_s + options.seconds, say)
        load.stop()
        taken_s = time.monotonic() - begun_s
        cable.plug()
        return _report(edge, home, load, chaos, options, say) | {"seconds": round(taken_s, 1)}


class Chaos:
    """What is killed and cut, and how often."""

    def __init__(self, edge: EdgeProcess, cable: Cable, chance: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self.cut_s = 0.0
        self._edge = edge
        self._cable = cable
        self._chance = chance
        self._is_cut = False
        self._turned_s = time.monotonic()

    def run(self, load: Load, executions: int, until_s: float, say: Callable[[str], None]) -> None:
        told = 0
        while len(load.ids) < executions and time.monotonic() < until_s:
            time.sleep(KILL_EVERY_S)
            self._turn_cable()
            victim = self._chance.choice(VICTIMS)
            self.kills[victim] += self._kill(victim)
            if len(load.ids) >= told + executions // 10:
                told = len(load.ids)
                say(f"{told} answers, {self.kills.total()} kills, {self.cut_s:.0f} s cut off")

    def _turn_cable(self) -> None:
        """Pull the cable or put it in again, when it is time."""
        age_s = time.monotonic() - self._turned_s
        if age_s < (CABLE_OUT_S if self._is_cut else CABLE_IN_S):
            return
        self.cut_s += age_s if self._is_cut else 0.0
        self._is_cut = not self._is_cut
        self._turned_s = time.monotonic()
        (self._cable.pull if self._is_cut else self._cable.plug)()

    def _kill(self, victim: str) -> int:
        """Return how many were killed: none, where it has just died with another one."""
        if victim == "supervisor":
            self._edge.end(signal.SIGKILL)
            self._start_again()
            return 1
        pids = self._pids(victim)
        try:
            os.kill(self._chance.choice(pids), signal.SIGKILL)
        except (IndexError, ProcessLookupError):
            return 0
        return 1

    def _start_again(self) -> None:
        """Do what systemd would; what the kill left may hold the doors for a moment."""
        for _ in range(RESTARTS):
            try:
                self._edge.start()
            except StackError:
                self._edge.end(signal.SIGKILL)
                time.sleep(RESTART_S)
            else:
                return
        raise StackError(f"not within {RESTARTS} starts: the edge serves again")

    def _pids(self, victim: str) -> list[int]:
        if victim in ("gateway", "agent"):
            return [self._edge.child_pid(victim)]
        zygotes = children(self._edge.child_pid("gateway"))
        if victim == "zygote":
            return zygotes
        return [worker for zygote in zygotes for worker in children(zygote)]


def _report(
    edge: EdgeProcess,
    home: ControlPlane,
    load: Load,
    chaos: Chaos,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> dict[str, Any]:
    lines = Counter(line["execution_id"] for line in edge.logged(TASK))
    total = sum(lines.values())
    say(f"{len(load.ids)} answers, {total} lines; waiting for the counts at home")
    try:
        until(lambda: counted(home, TASK) >= total, "all are counted", timeout_s=COUNTED_S)
    except StackError as error:
        say(str(error))  # the report shows it
    return {
        "answers": len(load.ids),
        "missing": sum(lines[identifier] == 0 for identifier in load.ids),
        "duplicated": sum(count > 1 for count in lines.values()),
        "lines": total,
        "counted_home": counted(home, TASK),
        "failed_calls": load.retries,
        "is_complete": len(load.ids) >= options.executions,
        "kills": dict(chaos.kills),
        "cut_off_s": round(chaos.cut_s, 1),
    }
