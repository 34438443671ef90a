"""Each layer of the sandbox by itself: leave it out, and the matching attack gets further.

So a layer that died unnoticed, because another one stops the same attacks, fails here.
"""

import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.pool.pool import Outcome, Pool, ProgramSource, Result
from edged.pool.settings import PoolSettings
from edged.pool.zygote import Image
from edged.sandbox import kernel
from edged.sandbox.refusals import ProgramRefused

FIRST_LINE = Path("/etc/passwd").read_text().partition("\n")[0] + "\n"
NOT_REQUIRED = PoolSettings(time_limit_ms=2_000, memory_limit_mb=48, require=())

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its user up")
needs_landlock = pytest.mark.skipif(kernel.landlock_abi() < 6, reason="no Landlock, or an old one")


async def attack(body: str, *, without: str, given: object = None) -> Result:
    """Run a program of plain statements in a worker that lacks these layers."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source = f"import ctypes, os, _socket\ndef run(given):\n{lines}"
    image = Image(without=frozenset(without.split()))
    async with Pool(NOT_REQUIRED, image) as pool:
        await pool.load("attack", ProgramSource(source=source))
        return await pool.call("attack", json.dumps(given).encode())


def stopped_by(result: Result) -> str:
    """Return the error number that a program met, or how else it ended."""
    if result.outcome is not Outcome.ERROR:
        return result.outcome.name
    return f"{result.error_type} {result.error_message.partition(',')[0]}"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of this machine may write to."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
        yield path


async def test_language_keeps_programs_from_the_system_library():
    with pytest.raises(ProgramRefused, match="import of 'ctypes'"):
        await attack("return os.getpid()", without="")

    got = await attack("return os.getpid() > 1", without="language")

    assert got.output_json == b"true"


async def test_seccomp_kills_who_asks_the_kernel_for_more():
    undo = "return ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)"  # become dumpable again

    assert stopped_by(await attack(undo, without="language")) == "VIOLATION"
    assert (await attack(undo, without="language seccomp")).output_json == b"0"


async def test_seccomp_answers_before_any_other_layer_is_asked():
    read = "return open('/etc/passwd').read()"

    assert stopped_by(await attack(read, without="language")) == "PermissionError 1"


@needs_landlock
async def test_landlock_keeps_the_file_system_closed(open_folder):
    make = "os.mkdir(given + '/made')\nreturn True"
    given = str(open_folder)

    with_it = await attack(make, without="language seccomp", given=given)
    made_with_it = list(open_folder.iterdir())
    await attack(make, without="language seccomp landlock", given=given)

    assert (stopped_by(with_it), made_with_it) == ("PermissionError 13", [])
    assert [path.name for path in open_folder.iterdir()] == ["made"]


@needs_landlock
async def test_landlock_alone_keeps_a_file_from_being_read():
    read = "return open('/etc/passwd').readline()"

    with_it = await attack(read, without="language seccomp rlimits")
    got = await attack(read, without="language seccomp rlimits landlock")

    assert stopped_by(with_it) == "PermissionError 13"
    assert json.loads(got.output_json) == FIRST_LINE


async def test_rlimits_keep_memory_small():
    grow = "return len(bytes(1 << 28))"

    assert stopped_by(await attack(grow, without="language")) == "MEMORY"
    assert (await attack(grow, without="language rlimits")).output_json == b"268435456"


async def test_rlimits_alone_leave_no_file_to_open():
    pipe = "return len(os.pipe())"

    assert stopped_by(await attack(pipe, without="language seccomp landlock")) == "OSError 24"
    assert (await attack(pipe, without="language seccomp rlimits")).output_json == b"2"


@needs_root
async def test_rlimits_alone_keep_a_program_from_starting_processes():
    fork = "pid = os.fork()\nif pid == 0: os._exit(0)\nreturn os.waitpid(pid, 0)[1]"

    assert stopped_by(await attack(fork, without="language seccomp")) == "BlockingIOError 11"
    assert (await attack(fork, without="language seccomp rlimits")).output_json == b"0"


@needs_root
async def test_a_user_of_its_own_keeps_other_processes_out_of_reach():
    signal = "os.kill(os.getppid(), 0)\nreturn True"
    without = "language seccomp landlock"

    assert stopped_by(await attack(signal, without=without)) == "PermissionError 1"
    assert (await attack(signal, without=f"{without} uid")).output_json == b"true"


@needs_root
@needs_landlock
async def test_landlock_alone_keeps_signals_inside():
    signal = "os.kill(os.getppid(), 0)\nreturn True"

    assert stopped_by(await attack(signal, without="language seccomp uid")) == "PermissionError 1"


@needs_root
async def test_namespaces_leave_no_network_to_speak_to():
    # UDP: Landlock knows TCP only.
    send = "s = _socket.socket(2, 2)\nreturn s.sendto(b'PWNED', ('127.0.0.1', given))"
    without = "language seccomp rlimits"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0)
        port = listener.getsockname()[1]

        with_them = await attack(send, without=without, given=port)
        with pytest.raises(BlockingIOError):
            listener.recv(16)
        await attack(send, without=f"{without} namespaces", given=port)

        assert stopped_by(with_them) == "OSError 101"
        assert listener.recv(16) == b"PWNED"


@needs_root
@needs_landlock
async def test_landlock_alone_keeps_tcp_from_connecting():
    connect = "s = _socket.socket(2, 1)\ns.connect(('127.0.0.1', given))\nreturn True"
    without = "language seccomp rlimits namespaces"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with_it = await attack(connect, without=without, given=port)
        without_it = await attack(connect, without=f"{without} landlock", given=port)

    assert stopped_by(with_it) == "PermissionError 13"
    assert without_it.output_json == b"true"
