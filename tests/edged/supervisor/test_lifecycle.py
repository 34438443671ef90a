"""`edged serve` as a process: start, kills, drain, refusals."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from loopai.client import EdgeClient

from scripts.support.stack import EdgeProcess, until

SLOW = (
    "def run(input_data):\n"
    "    total = 0\n"
    "    for number in range(input_data['rounds']):\n"
    "        total += number\n"
    "    return total\n"
)
IMPORTS_OS = "import re\nimport os\n\n\ndef run(input_data):\n    return os.listdir('/')\n"
OPENS_A_FILE = "def run(input_data):\n    return open('/etc/passwd').read()\n"


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def processes_of(pid: int, module: str) -> set[int]:
    words = {child: Path(f"/proc/{child}/cmdline") for child in children(pid)}
    return {child for child, path in words.items() if module in path.read_text()}


def descendants(pid: int) -> list[int]:
    return [pid, *(below for child in children(pid) for below in descendants(child))]


def answers(edge: EdgeProcess, version: int = 1) -> bool:
    with EdgeClient(edge.grpc) as client, suppress(grpc.RpcError):
        return client.execute({"text": "a"}, task="shout", timeout_s=2).version == version
    return False


def ready_page(edge: EdgeProcess) -> dict:
    with urllib.request.urlopen(f"http://{edge.http}/readyz", timeout=5) as response:
        return json.load(response)


def run_edged(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edged.commands", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("name", ["gateway", "agent"])
def test_a_killed_process_is_replaced_on_the_same_doors(start_edge, make_artifact, name):
    edge = start_edge(make_artifact())
    other = {"gateway": "agent", "agent": "gateway"}[name]
    first, unharmed = edge.child_pid(name), edge.child_pid(other)

    os.kill(first, signal.SIGKILL)
    until(lambda: edge.child_pid(name) != first, f"a new {name} is started")

    until(lambda: answers(edge), "calls are answered again")
    assert edge.child_pid(other) == unharmed
    assert is_alive(unharmed)


@pytest.mark.parametrize("name", ["gateway", "agent"])
def test_a_process_that_waited_takes_over(start_edge, make_artifact, name):
    edge = start_edge(make_artifact())
    first = edge.child_pid(name)
    module = f"edged.{name}.main"
    until(lambda: len(processes_of(edge.pid, module)) == 2, f"a second {name} waits")
    [waiting] = processes_of(edge.pid, module) - {first}

    os.kill(first, signal.SIGKILL)

    until(lambda: edge.child_pid(name) == waiting, "it works now")
    until(lambda: answers(edge), "calls are answered again")
    until(lambda: len(processes_of(edge.pid, module)) == 2, "another one waits")


def test_a_replaced_gateway_pauses_nothing(start_edge, make_artifact):
    edge = start_edge(make_artifact())
    first = edge.child_pid("gateway")
    is_over = threading.Event()
    failures, answered = [], []

    def call_steadily() -> None:
        with EdgeClient(edge.grpc) as client:
            while not is_over.is_set():
                try:
                    answered.append(client.execute({"text": "a"}, task="shout").execution_id)
                except grpc.RpcError as error:
                    failures.append(error.details())

    caller = threading.Thread(target=call_steadily)
    caller.start()
    os.kill(edge.pid, signal.SIGUSR2)
    until(lambda: edge.child_pid("gateway") != first, "the successor serves")
    until(lambda: not is_alive(first), "the old one has left")
    seen = len(answered)
    until(lambda: len(answered) > seen + 10, "calls go on")
    is_over.set()
    caller.join()

    assert failures == []
    logged = [line["execution_id"] for line in edge.logged("shout")]
    assert len(logged) == len(set(logged))
    assert set(answered) <= set(logged)


def test_a_killed_gateway_takes_its_zygote_and_workers_along(start_edge, make_artifact):
    edge = start_edge(make_artifact())
    family = descendants(edge.child_pid("gateway"))

    os.kill(family[0], signal.SIGKILL)

    assert len(family) >= 3
    until(lambda: not any(map(is_alive, family)), "no process of the old gateway is left")


def test_a_killed_supervisor_leaves_no_process(start_edge, make_artifact):
    edge = start_edge(make_artifact())
    family = descendants(edge.pid)

    edge.end(signal.SIGKILL)

    until(lambda: not any(map(is_alive, family)), "no process is left")


def test_a_drain_finishes_running_calls_and_leaves_no_process(start_edge, make_artifact):
    edge = start_edge(make_artifact(SLOW, task="slow", input_schema={"type": "object"}))
    family = descendants(edge.pid)
    answered = []

    def call() -> None:
        with EdgeClient(edge.grpc) as client:
            answered.append(client.execute({"rounds": 8_000_000}, task="slow"))

    caller = threading.Thread(target=call)
    caller.start()
    time.sleep(0.15)  # the call is on its way; if it were not, the drain would refuse it

    code = edge.stop()
    caller.join()

    assert code == 0
    assert answered[0].outcome in {"SUCCESS", "TIMEOUT"}
    assert not any(map(is_alive, family))


def test_a_restart_serves_from_disk(start_edge, make_artifact, tmp_path):
    edge = start_edge(make_artifact())
    edge.stop()
    (tmp_path / "artifacts" / "shout-v1.zip").unlink()
    (tmp_path / "artifacts").rmdir()

    edge.start()

    assert answers(edge)


def test_systemd_hears_of_ready_and_stopping(start_edge, make_artifact, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(20)
        edge = EdgeProcess(tmp_path, {})
        edge._environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        with edge:
            ready = notified.recv(4096)
        stopping = notified.recv(4096)

    assert ready.startswith(b"READY=1")
    assert stopping.startswith(b"STOPPING=1")


def test_a_new_version_in_the_folder_is_switched_to(start_edge, put_artifact, make_artifact):
    edge = start_edge(make_artifact())

    put_artifact(make_artifact("def run(input_data):\n    return 2\n", version=2))

    until(lambda: answers(edge, version=2), "version 2 serves")
    active = edge.data_dir / "artifacts" / "shout" / "active"
    until(lambda: str(active.readlink()) == "v2", "the link follows")


@pytest.mark.parametrize(
    ("program", "place", "words"),
    [
        (IMPORTS_OS, "line 2, column 1", "os"),
        (OPENS_A_FILE, "line 2, column 12", "open"),
        ("def run(input_data)\n", "line 1", "syntax"),
    ],
)
def test_a_refused_program_leaves_the_old_version_serving(
    start_edge, put_artifact, make_artifact, program, place, words
):
    edge = start_edge(make_artifact())

    put_artifact(make_artifact(program, version=2))
    until(lambda: "shout" in ready_page(edge)["problems"], "the refusal is told")

    problem = ready_page(edge)["problems"]["shout"]
    assert place in problem
    assert words in problem.lower()
    assert answers(edge, version=1)


def test_a_refused_version_is_not_started_by_the_next_gateway_either(
    start_edge, put_artifact, make_artifact
):
    edge = start_edge(make_artifact())
    put_artifact(make_artifact(IMPORTS_OS, version=2))
    until(lambda: "shout" in ready_page(edge)["problems"], "the refusal is told")
    first = edge.child_pid("gateway")

    os.kill(first, signal.SIGKILL)
    until(lambda: edge.child_pid("gateway") != first, "a new gateway is started")

    until(lambda: answers(edge, version=1), "version 1 serves")


def test_a_version_that_fails_its_self_test_is_refused(start_edge, put_artifact, make_artifact):
    from edged.artifacts.archive import SelfTest

    edge = start_edge(make_artifact())
    wrong = (SelfTest(input={"text": "a"}, output="not this"),)

    put_artifact(make_artifact(version=2, self_tests=wrong))
    until(lambda: "shout" in ready_page(edge)["problems"], "the refusal is told")

    assert "self-test 1" in ready_page(edge)["problems"]["shout"]
    assert answers(edge, version=1)


def test_an_address_beyond_this_machine_needs_a_word(tmp_path):
    refused = run_edged("--data-dir", str(tmp_path), "--http", "0.0.0.0:0")

    assert refused.returncode == 2
    assert "listen.http: 0.0.0.0:0 is reachable from outside" in refused.stderr
    assert "--insecure" in refused.stderr


def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        refused = run_edged("--data-dir", str(tmp_path), "--grpc", address)

    assert refused.returncode == 2
    assert f"listen.grpc: cannot listen on {address}" in refused.stderr


def test_a_second_edge_on_the_same_folder_is_refused(start_edge, make_artifact):
    edge = start_edge(make_artifact())

    refused = run_edged("--data-dir", str(edge.data_dir), "--grpc", "127.0.0.1:0")

    assert refused.returncode == 2
    assert "storage.data_dir: another edged uses" in refused.stderr
    assert answers(edge)


@pytest.mark.parametrize(
    ("url", "key", "words"),
    [
        ("http://127.0.0.1:1", "", "set LOOPAI_API_KEY"),
        ("http://192.0.2.1:1", "made-up", "the API key in clear"),
    ],
)
def test_a_control_plane_that_cannot_be_talked_to_safely_is_refused(
    tmp_path, monkeypatch, url, key, words
):
    monkeypatch.setenv("LOOPAI_API_KEY", key)

    refused = run_edged("--data-dir", str(tmp_path), "--control-plane", url)

    assert refused.returncode == 2
    assert words in refused.stderr


def test_no_key_reaches_a_command_line_or_the_gateways_environment(start_edge, tmp_path):
    edge = EdgeProcess(tmp_path, {})
    edge._environment["LOOPAI_API_KEY"] = "made-up-and-secret"
    with edge:
        # All of them there: one that is being spawned shows its parent's until it is executed.
        for module in ("edged.gateway.main", "edged.agent.main"):
            until(lambda m=module: len(processes_of(edge.pid, m)) == 2, f"two of {module}")
        seen = [
            Path(f"/proc/{pid}/{name}").read_bytes()
            for pid in descendants(edge.pid)[1:]
            for name in ("cmdline", "environ")
        ]
        log = edge.log.read_bytes()

    assert len(seen) >= 8
    assert not any(b"made-up-and-secret" in content for content in [*seen, log])
