"""The zygote as a process: what it inherits, what it says, when it dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.sandbox.control import Message, Order, Setup, receive, send
from edged.sandbox.exits import EXIT_TOO_WEAK
from edged.sandbox.frames import Inbox, Kind
from edged.sandbox.page import SharedPage

ROOT = Path(__file__).resolve().parents[3]
START = (
    "import sys; sys.path.append(sys.argv[2]); "
    "from edged.sandbox.zygote import main; main(int(sys.argv[1]))"
)
REQUIRE = ("seccomp", "no_new_privs", "rlimits")


class Running:
    """A zygote and our end of its control socket."""

    def __init__(self, *, environment: dict[str, str], parent_pid: int, require=REQUIRE) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fd = theirs.fileno()
            command = [sys.executable, "-I", "-X", "utf8", "-c", START, str(fd), str(ROOT)]
            self.process = subprocess.Popen(command, env=environment, pass_fds=(fd,))
        setup = Setup(parent_pid=parent_pid, memory_bytes=64 << 20, require=require)
        send(self.control, Order.CONFIGURE, text=setup.pack())

    def hear(self) -> Message | None:
        return receive(self.control)

    def spawn(self, worker_id: int) -> tuple[socket.socket, SharedPage, int]:
        """Return our end of the worker's socket, its page and its pidfd."""
        ours, theirs = socket.socketpair()
        page, page_fd = SharedPage.create()
        with theirs:
            fds = (theirs.fileno(), page_fd)
            send(self.control, Order.SPAWN, worker_id, fds=fds)
        os.close(page_fd)
        spawned = self.hear()
        assert (spawned.order, spawned.worker_id) == (Order.SPAWNED, worker_id)
        return ours, page, spawned.fds[0]

    def close(self) -> None:
        self.control.close()
        self.process.wait()


@pytest.fixture
def zygote() -> Iterator[Running]:
    running = Running(environment={}, parent_pid=os.getpid())
    yield running
    running.close()


def test_a_zygote_says_hello_with_what_it_proved(zygote):
    hello = zygote.hear()

    report = json.loads(hello.text)
    assert (hello.order, hello.value) == (Order.HELLO, zygote.process.pid)
    assert report["clean_zygote"] is True
    assert report["kills"] == {"socket": True, "fork": True, "exec": True, "signal": True}


def test_an_environment_makes_a_zygote_unclean():
    running = Running(environment={"SECRET": "x"}, parent_pid=os.getpid())

    hello = running.hear()
    running.close()

    assert json.loads(hello.text)["clean_zygote"] is False


def test_a_worker_locks_itself_says_so_and_leaves_when_its_socket_closes(zygote):
    zygote.hear()
    channel, page, pidfd = zygote.spawn(7)

    ((kind, _index, body),) = Inbox().take(channel.recv(65536))
    channel.close()
    exited = zygote.hear()

    assert kind == Kind.READY
    assert json.loads(body)["seccomp"] is True
    assert (exited.order, exited.worker_id, exited.value) == (Order.EXITED, 7, 0)
    page.close()
    os.close(pidfd)


def test_a_killed_worker_is_reported_with_its_signal(zygote):
    zygote.hear()
    channel, page, pidfd = zygote.spawn(8)

    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    exited = zygote.hear()

    assert (exited.worker_id, exited.value) == (8, -signal.SIGKILL)
    channel.close()
    page.close()
    os.close(pidfd)


def test_a_worker_without_a_required_barrier_refuses_to_serve():
    running = Running(environment={}, parent_pid=os.getpid(), require=("no_such_barrier_here",))
    running.hear()
    channel, page, pidfd = running.spawn(9)

    exited = running.hear()

    assert (exited.order, exited.worker_id) == (Order.EXITED, 9)
    assert exited.value == EXIT_TOO_WEAK
    channel.close()
    page.close()
    os.close(pidfd)
    running.close()


def test_a_zygote_takes_its_workers_along_when_its_pool_goes_away(zygote):
    zygote.hear()
    channel, page, pidfd = zygote.spawn(10)
    channel.recv(65536)

    zygote.control.close()
    zygote.process.wait()

    assert channel.recv(1) == b""
    channel.close()
    page.close()
    os.close(pidfd)


def test_a_killed_zygote_takes_its_workers_along(zygote):
    zygote.hear()
    channel, page, pidfd = zygote.spawn(11)
    channel.recv(65536)

    zygote.process.kill()
    zygote.process.wait()

    assert channel.recv(1) == b""
    channel.close()
    page.close()
    os.close(pidfd)


def test_a_zygote_whose_parent_is_not_the_one_it_was_promised_leaves():
    running = Running(environment={}, parent_pid=1)

    assert running.hear() is None
    running.close()


def test_a_zygote_dies_with_the_process_that_started_it():
    script = (
        "import socket, subprocess, sys, time\n"
        "ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "fd = theirs.fileno()\n"
        "args = [sys.executable, '-I', '-c', sys.argv[1], str(fd), sys.argv[2]]\n"
        "child = subprocess.Popen(args, env={}, pass_fds=(fd,), close_fds=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, START, str(ROOT)], stdout=subprocess.PIPE, text=True
    )
    zygote_pid = int(starter.stdout.readline())

    starter.kill()
    starter.wait()
    starter.stdout.close()

    while is_running(zygote_pid):
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
