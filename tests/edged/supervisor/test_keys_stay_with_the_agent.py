"""The API key of a real edge is in its agent, and in no process that runs programs."""

import os
import secrets
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.support.artifacts import write_artifact
from scripts.support.processes import children
from scripts.support.stack import EdgeProcess, until
from tests.process_memory import memory_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can read other memories")


def test_no_zygote_and_no_worker_holds_the_key(tmp_path):
    key = f"key-{secrets.token_hex(16)}"
    # Nobody answers there: an edge serves without its home.
    home = SimpleNamespace(api_key=key, url="http://127.0.0.1:9", link="127.0.0.1:9")
    write_artifact(tmp_path / "artifacts", "echo", "def run(x):\n    return x\n", {}, {})
    settings = {"artifacts": {"folder": str(tmp_path / "artifacts")}}

    with EdgeProcess(tmp_path, settings, home) as edge:
        gateway, agent = edge.child_pid("gateway"), edge.child_pid("agent")
        until(lambda: len(children(gateway)) > 0, "the zygote runs")
        (zygote,) = children(gateway)
        until(lambda: len(children(zygote)) > 0, "a worker runs")
        until(lambda: key.encode() in memory_of(agent), "the agent has read the key")

        for pid in (zygote, *children(zygote)):
            assert key.encode() not in memory_of(pid)
            assert (Path(f"/proc/{pid}") / "environ").read_bytes() == b""
