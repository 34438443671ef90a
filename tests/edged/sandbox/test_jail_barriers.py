"""Each barrier, tried from inside a really locked process."""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from edged.sandbox import seccomp
from edged.sandbox.syscalls import ALLOWED, NOT_EXECUTABLE, NUMBERS, REFUSED

ROOT = Path(__file__).resolve().parents[3]

LOCKED = """
import json, os, sys
sys.path.append(sys.argv[2])
import ctypes, mmap, resource, signal, socket, threading, time
from edged.sandbox import jail, kernel
answers = int(sys.argv[1])
{before}
achieved = jail.lock(worker_id=7, keep_fds=(answers,), memory_bytes=1 << 32)
def attempt(act):
    try:
        return repr(act())
    except OSError as error:
        return error.errno
os.write(answers, json.dumps({expression}).encode())
{after}
os._exit(0)
"""


def run_locked(
    expression: str = "None", *, before: str = "", after: str = ""
) -> tuple[object, int]:
    """Return what the expression gave inside the jail, and how the process ended."""
    ours, theirs = os.pipe()
    script = LOCKED.format(expression=expression, before=before, after=after)
    command = [sys.executable, "-I", "-c", script, str(theirs), str(ROOT)]
    ended = subprocess.run(command, pass_fds=(theirs,), check=False, capture_output=True)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answers:
        text = answers.read()
    sys.stderr.write(ended.stderr.decode())  # shown when a test fails
    assert text
    return json.loads(text), ended.returncode


def test_a_locked_process_reports_the_minimum_that_every_machine_gives():
    achieved, status = run_locked("achieved.as_json()")

    assert status == 0
    for barrier in ("dies_with_parent", "no_new_privs", "not_dumpable", "rlimits", "seccomp"):
        assert achieved[barrier] is True, barrier
    assert achieved["no_executable_memory"] is True
    assert achieved["uid_dropped"] is (os.geteuid() == 0)


@pytest.mark.parametrize(
    "act",
    [
        "open('/etc/hostname')",
        "os.stat('/')",
        "os.listdir('/')",
        "os.readlink('/proc/self/exe')",
        "os.getcwd()",
        "os.access('/', os.R_OK) or os.open('/', os.O_RDONLY)",
    ],
)
def test_files_answer_eperm(act):
    answer, status = run_locked(f"attempt(lambda: {act})")

    assert (answer, status) == (1, 0)


@pytest.mark.parametrize(
    "act",
    [
        "socket.socket()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getpid(), 0)",
        "os.kill(os.getppid(), signal.SIGTERM)",
        "kernel.prctl(kernel.PR_SET_DUMPABLE, 1)",
        "kernel.leave_namespaces(kernel.CLONE_NEWNET)",
        "os.setuid(0)",
        "os.unlink('/tmp/x')",
        "os.mkdir('/tmp/x')",
        "os.memfd_create('x')",
        "time.sleep(0.001)",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))",
        "signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)",
    ],
)
def test_everything_that_is_not_allowed_kills(act):
    _, status = run_locked(after=act)

    assert status == -signal.SIGSYS


@pytest.mark.parametrize(
    "act",
    ["time.monotonic_ns()", "os.urandom(8)", "'x' * 50_000_000 and 1", "os.getpid() > 0"],
)
def test_what_an_interpreter_needs_is_allowed(act):
    _, status = run_locked(after=act)

    assert status == 0


def test_memory_cannot_be_made_executable():
    before = "page = mmap.mmap(-1, 4096)\nbuffer = ctypes.c_char.from_buffer(page)"
    make = "ctypes.CDLL(None).mprotect(ctypes.c_void_p(ctypes.addressof(buffer)), 4096, 7)"

    answer, _ = run_locked(f"[kernel.can_map_executable(), {make}]", before=before)

    assert answer == [False, -1]


def test_a_crash_is_seen_as_a_crash():
    _, status = run_locked(after="os.abort()")

    assert status == -signal.SIGABRT


def test_only_the_named_files_stay_open():
    before = "extra = os.open('/etc/hostname', os.O_RDONLY)"
    answer, _ = run_locked(
        "[attempt(lambda: os.read(extra, 1)), attempt(lambda: os.read(0, 1))]", before=before
    )

    assert answer == [9, "b''"]


def test_root_becomes_a_user_of_its_own():
    if os.geteuid() != 0:
        pytest.skip("only root can take another user")

    answer, _ = run_locked("achieved.uid_dropped")

    assert answer is True


def test_an_unprivileged_user_still_gets_the_minimum():
    if os.geteuid() != 0:
        pytest.skip("only root can try what it is like to be somebody else")
    before = (
        "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)"
    )

    achieved, _ = run_locked("achieved.as_json()", before=before)

    assert achieved["uid_dropped"] is False
    assert [achieved[name] for name in ("seccomp", "rlimits", "no_new_privs")] == [True] * 3


def test_landlock_holds_by_itself_where_the_kernel_has_it():
    script = (
        "import os, sys; sys.path.append(sys.argv[1])\n"
        "from edged.sandbox import kernel\n"
        "abi = kernel.landlock_abi()\n"
        "if not abi: sys.exit(9)\n"
        "kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)\n"
        "kernel.landlock_deny_all(abi) or sys.exit(2)\n"
        "try: os.open('/', os.O_RDONLY)\n"
        "except PermissionError: sys.exit(0)\n"
        "sys.exit(1)\n"
    )

    ended = subprocess.run([sys.executable, "-I", "-c", script, str(ROOT)], check=False)

    if ended.returncode == 9:
        pytest.skip("this kernel has no Landlock")
    assert ended.returncode == 0


@pytest.mark.parametrize("machine", sorted(NUMBERS))
class TestFilter:
    """What the filter decides, interpreted: this machine has only one architecture."""

    def test_every_rule_has_the_verdict_that_its_list_says(self, machine):
        numbers = NUMBERS[machine]

        assert {verdict(machine, numbers[name]) for name in ALLOWED} == {"allow"}
        assert {verdict(machine, numbers[name]) for name in REFUSED if name in numbers} == {
            "refuse"
        }

    def test_every_other_number_kills(self, machine):
        known = set(NUMBERS[machine].values())

        assert {verdict(machine, number) for number in range(1024) if number not in known} == {
            "kill"
        }

    def test_another_architecture_kills(self, machine):
        other = next(name for name in NUMBERS if name != machine)

        assert verdict(machine, NUMBERS[machine]["read"], arch=seccomp.AUDIT_ARCH[other]) == "kill"

    def test_arguments_are_looked_at(self, machine):
        numbers = NUMBERS[machine]

        for name in NOT_EXECUTABLE:
            assert verdict(machine, numbers[name], 0, 0, 3) == "allow"
            assert verdict(machine, numbers[name], 0, 0, 7) == "refuse"
        limit = numbers["prlimit64"]
        assert verdict(machine, limit, 0, resource.RLIMIT_AS) == "allow"
        assert verdict(machine, limit, 1, resource.RLIMIT_AS) == "kill"
        assert verdict(machine, limit, 0, resource.RLIMIT_NPROC) == "kill"
        assert verdict(machine, numbers["tgkill"], 42, 42, signal.SIGABRT) == "allow"
        assert verdict(machine, numbers["tgkill"], 43, 43, signal.SIGABRT) == "kill"
        assert verdict(machine, numbers["tgkill"], 42, 42, signal.SIGKILL) == "kill"

    def test_the_filter_stays_small(self, machine):
        assert len(seccomp.assemble(machine, pid=42)) // 8 <= 128


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> str:
    """Interpret the filter for a process 42, as the kernel does."""
    known = seccomp.AUDIT_ARCH[machine] if arch is None else arch
    padded = [*arguments, *[0] * (6 - len(arguments))]
    call = struct.pack("=IIQ6Q", number, known, 0, *padded)
    code = list(struct.iter_unpack("=HBBI", seccomp.assemble(machine, pid=42)))
    accumulator = at = 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", call, operand)
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x45:
                at += if_true if accumulator & operand else if_false
            case _:
                return {0x8000_0000: "kill", 0x7FFF_0000: "allow", 0x0005_0001: "refuse"}[operand]
