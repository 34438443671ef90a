"""What the processes of one edge write to one standard error, as the process itself writes it."""

import json
import os
import socket
import subprocess
import sys

import pytest

CODE = """
import structlog
from {package} import logs
logs.configure("agent")
structlog.get_logger().info("first", number=1)
structlog.get_logger().info("second", number=2)
"""


@pytest.mark.parametrize("package", ["edged", "controlplane"])
def test_an_event_is_one_write_so_that_no_other_process_gets_between(package):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # one packet a write
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-c", CODE.format(package=package)],
            stderr=theirs,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            timeout=25,
            check=True,
        )
        theirs.shutdown(socket.SHUT_WR)
        packets = list(iter(lambda: ours.recv(65_536), b""))

    assert [json.loads(packet)["event"] for packet in packets] == ["first", "second"]
    assert all(packet.endswith(b"\n") for packet in packets)
