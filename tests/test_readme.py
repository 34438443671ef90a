"""The README's commands, run as they stand there, on ports of the test's own."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = ROOT / "scripts" / "examples" / "router.jsonl"
# A person waits until a daemon that was just started answers; so does the test. curl may be absent.
PREPARE = """
curl() { python -c '
import sys, urllib.request
words = sys.argv[1:]
body = words[words.index("-d") + 1].encode() if "-d" in words else None
print(urllib.request.urlopen(words[-1], body).read().decode())' "$@"; }
wait_for() { for _ in $(seq 300); do curl "$1" >/dev/null 2>&1 && return; sleep 0.1; done; exit 9; }
trap 'kill $(jobs -p); wait' EXIT
set -eu
"""


def blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_scripts_it_names_say_what_they_do():
    named = sorted(set(re.findall(r"scripts/(\w+)", README)))

    for name in named:
        if name not in {"check", "test", "lock", "examples"}:
            command = [ROOT / "scripts" / name, "--help"]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
            assert f"scripts/{name}" in done.stdout
    assert {"demo", "test", "bench", "chaos"} <= set(named)
    assert all((ROOT / "scripts" / name).exists() for name in named)


@pytest.mark.timeout(120)
def test_its_demo_walks_the_main_job():
    done = subprocess.run(
        [sys.executable, "-m", "scripts.support.demo", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["requests"] == report["logged"] == report["reported"] == 30
    assert report["zip_is_identical"]
    assert report["accuracy"] > 0.5


@pytest.mark.timeout(120)
def test_its_commands_run_as_they_stand(tmp_path):
    [script] = [block for block in blocks() if "controlplane serve" in block]
    ports = {name: free_port() for name in ("rest", "link", "grpc", "http")}
    script = script.replace("8000", str(ports["rest"])).replace("8080", str(ports["http"]))
    script = re.sub(
        r"(controlplane serve [^&]*)&",
        rf"\1 & wait_for http://127.0.0.1:{ports['rest']}/readyz",
        script,
    )
    script = re.sub(
        r"(edged serve [^&]*)&", rf"\1 & wait_for http://127.0.0.1:{ports['http']}/readyz", script
    )
    rows = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    (tmp_path / "examples.jsonl").write_text(
        "".join(json.dumps({**row, "label": str(row["label"] == "billing")}) + "\n" for row in rows)
    )
    (tmp_path / "inputs.jsonl").write_text('{"text": "my invoice is wrong"}\n{"text": ""}\n')
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LOOPAI_PORT": str(ports["rest"]),
        "LOOPAI_LINK_PORT": str(ports["link"]),
        "LOOPAI_CLOUD__LINK_URL": f"http://127.0.0.1:{ports['link']}",
        "LOOPAI_LISTEN__GRPC": f"127.0.0.1:{ports['grpc']}",
        "LOOPAI_LISTEN__HTTP": f"127.0.0.1:{ports['http']}",
        "LOOPAI_URL": f"http://127.0.0.1:{ports['rest']}",
        "LOOPAI_EDGE": f"127.0.0.1:{ports['grpc']}",
    }

    done = subprocess.run(
        ["bash", "-c", PREPARE + script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    answers = [line for line in done.stdout.splitlines() if line in {'"True"', '"False"'}]
    assert len(answers) == 3  # one by `loopai execute`, two by the program alone
    assert '"status":"success"' in done.stdout
