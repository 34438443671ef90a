"""How events get to a standard error that several processes share."""

import json
import os
import socket
import subprocess
import sys

import pytest

CODE = """
import structlog
from {package} import logs
logs.{set_up}
structlog.get_logger().info("first", number=1)
structlog.get_logger().info("second", number=2)
"""


@pytest.mark.parametrize(
    ("package", "set_up"),
    [("edged", "configure('agent')"), ("controlplane", "set_up(process='hub')")],
    ids=["edged", "controlplane"],
)
def test_an_event_is_one_write_so_that_no_other_process_gets_between(package, set_up):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # one packet a write
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-c", CODE.format(package=package, set_up=set_up)],
            stderr=theirs,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            timeout=25,
            check=True,
        )
        theirs.shutdown(socket.SHUT_WR)
        packets = list(iter(lambda: ours.recv(65_536), b""))

    assert [json.loads(packet)["event"] for packet in packets] == ["first", "second"]
    assert all(packet.endswith(b"\n") for packet in packets)
