"""Sockets from systemd: taken by their names, kept over restarts, checked as any other."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from edged.activation import activated, address_of
from edged.errors import ConfigInvalid

pytestmark = pytest.mark.processes


def test_a_socket_without_a_known_name_is_refused():
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "edged"}

    with pytest.raises(ConfigInvalid, match="grpc or http"):
        activated(environment)


def test_what_is_meant_for_another_process_is_left_alone():
    assert activated({"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "grpc"}) == {}


@pytest.mark.parametrize(("host", "is_served"), [("127.0.0.1", True), ("0.0.0.0", False)])  # noqa: S104
def test_edged_serves_the_socket_that_it_is_handed(tmp_path, host, is_served):
    listener = socket.create_server((host, 0))
    words = [sys.executable, "-m", "edged.commands", "serve", "--grpc", "127.0.0.1:0"]
    words += ["--data-dir", str(tmp_path / "data")]
    handed = f"exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http"
    port = address_of(listener).rpartition(":")[2]

    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f'{handed} exec "$@"', "bash", *words],
            pass_fds=(listener.fileno(),),
            stderr=log,
        )
    try:
        if is_served:
            assert _answer(port) == {"status": "alive"}  # it waits in the listener for the start
        else:
            assert process.wait(20) == 2  # open to strangers, and nobody said that this is meant
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        listener.close()
    assert ("reachable from outside" in (tmp_path / "log").read_text()) is not is_served


def _answer(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=25) as answer:
        return json.load(answer)
