"""docs/clients.md: its commands, run as they stand there where their tool is present."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edged.artifacts.archive import pack
from scripts.support.stack import EdgeProcess, until

ROOT = Path(__file__).resolve().parents[1]
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
SECTIONS = dict(SECTION.findall((ROOT / "docs/clients.md").read_text()))


@pytest.fixture(scope="module")
def edge(tmp_path_factory, make_artifact):
    folder: Path = tmp_path_factory.mktemp("clients")
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "shout.zip").write_bytes(pack(make_artifact()))
    with EdgeProcess(folder, {"artifacts": {"folder": str(folder / "artifacts")}}) as edge:
        until((edge.data_dir / "artifacts" / "shout" / "active").exists, "shout is served")
        yield edge


@pytest.fixture
def run(edge, tmp_path):
    """Return a function that runs the block of a section and gives what it printed."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PROTO": str(ROOT / "proto"),
        "NODE_PATH": os.environ.get("NODE_PATH", ""),
    }

    def run(section: str, language: str, *command: str) -> str:
        title = next(title for title in SECTIONS if section in title)
        [block] = re.findall(rf"```{language}\n(.*?)```", SECTIONS[title], re.DOTALL)
        block = block.replace("127.0.0.1:50051", edge.grpc).replace("127.0.0.1:8080", edge.http)
        (tmp_path / "block").write_text(block)
        done = subprocess.run(
            [*command, "block"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            errors="replace",  # nghttp prints the message too
            timeout=25,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def needs(tool: str) -> None:
    places = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if shutil.which(tool, path=places) is None:
        pytest.skip(f"{tool} is not installed here")


def test_buf_finds_the_services_and_calls_one(run):
    needs("buf")

    printed = run("buf curl", "sh", "bash", "-eu")

    assert "loopai.edge.v1.EdgeService/Execute" in printed
    assert "grpc.health.v1.Health/Watch" in printed
    assert '"outcome":"OUTCOME_SUCCESS"' in printed.replace(" ", "")


def test_nghttp_sees_status_0(run):
    needs("nghttp")
    run("A request as a file", "sh", "bash", "-eu")

    printed = run("nghttp", "sh", "bash", "-eu")

    assert "grpc-status: 0" in printed


def test_h2load_gets_every_answer(run):
    needs("h2load")
    run("A request as a file", "sh", "bash", "-eu")

    printed = run("h2load", "sh", "bash", "-eu")

    assert "2000 succeeded, 0 failed" in printed


def test_node_calls_the_edge(run):
    needs("node")
    found = subprocess.run(
        ["node", "-e", "require('@grpc/grpc-js'); require('@grpc/proto-loader')"],
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip("@grpc/grpc-js is not installed here; name its folder in NODE_PATH")

    printed = run("Node", "js", "node")

    assert printed.split() == ["OUTCOME_SUCCESS", '"HI"'] or printed.split() == ["1", '"HI"']


def test_health_is_watched(run):
    assert run("Health", "python", sys.executable) == "SERVING\n"


def test_gzip_is_understood(run):
    assert run("gzip", "python", sys.executable) == '"HI"\n'


def test_curl_gets_the_same_answer(run):
    needs("curl")

    assert '"output":"HI"' in run("HTTP/1.1", "sh", "bash", "-eu")
