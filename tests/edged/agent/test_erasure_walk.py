"""A subject is erased at a real edge and at a real home."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from loopai.client import EdgeClient
from loopai.controlplane import ControlPlane

from scripts.support.stack import ControlPlaneProcess, EdgeProcess, until

ECHO = 'def run(input_data):\n    return input_data["text"]\n'
MARKER = "Ann Marker of Nowhere"
SETTINGS = {"telemetry": {"upload_interval_sec": 0.3, "privacy_mode": "permissive"}}


@pytest.mark.timeout(90)
def test_what_is_erased_at_the_edge_is_erased_at_home_too(tmp_path):
    with ControlPlaneProcess(tmp_path) as server, ControlPlane(server.url, server.api_key) as home:
        _publish(home, tmp_path)
        with EdgeProcess(tmp_path, SETTINGS, server) as edge:
            until((edge.data_dir / "artifacts" / "echo" / "active").exists, "the edge serves")
            with EdgeClient(edge.grpc) as client:
                for text in (MARKER, "Bee", MARKER):
                    client.execute({"text": text}, task="echo")
            until(lambda: _at_home(server).count(MARKER.encode()) > 0, "the records are at home")

            answer = _erase(edge)
            home_erased = server.wait_for("erased")

    assert answer["executions"] == 2
    assert home_erased["stored_things"] == 2
    assert MARKER.encode() not in _logs(edge)
    assert b"Bee" in _logs(edge)
    assert MARKER.encode() not in _at_home(server)
    assert b"Bee" in _at_home(server)


def _publish(home, folder):
    program = folder / "program.py"
    program.write_text(ECHO)
    examples = [{"input": {"text": "Ab"}, "output": "Ab"}]
    home.create_task("echo", examples=examples, output_schema={"type": "string"})
    home.activate("echo", home.upload("echo", program)["version"])


def _erase(edge):
    command = [sys.executable, "-m", "edged.commands", "privacy", "erase", "echo"]
    options = ["--match", MARKER, "--data-dir", str(edge.data_dir)]
    environment = {"LOOPAI_API_KEY": "made-up"}  # deployment.yaml names it; erasing needs none
    done = subprocess.run([*command, *options], capture_output=True, check=True, env=environment)
    return json.loads(done.stdout)


def _logs(edge) -> bytes:
    return b"".join(path.read_bytes() for path in edge.data_dir.rglob("datasets/**/*.jsonl*"))


def _at_home(server) -> bytes:
    """Return all that the database holds of samples, as it is now."""
    path = server.data_dir / "controlplane.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT input_json, output_json FROM execution_samples")
        return repr(rows.fetchall()).encode()
