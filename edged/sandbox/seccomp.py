"""Assemble the filter that decides, in the kernel, which system calls a worker may make.

Runs in: the zygote (assembly) and the workers (installation). Never: allows what `syscalls` does
not name.

The filter is classic BPF: eight-byte instructions that load one word of `struct seccomp_data` and
compare. It checks the architecture first, so that 32-bit and x32 calls, whose numbers mean other
things, kill. Each rule is a block that ends in a verdict; what matches no block kills the process
(SIGSYS), which the pool reports as a VIOLATION.
"""

import errno
import mmap
import resource
import signal
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from edged.sandbox.syscalls import ALLOWED, AUDIT_ARCH, NOT_EXECUTABLE, NUMBERS, REFUSED

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_KILL: Final = 0x8000_0000
_ALLOW: Final = 0x7FFF_0000
_REFUSE: Final = 0x0005_0000 | errno.EPERM

_NUMBER_AT: Final = 0
_ARCH_AT: Final = 4
_ARGUMENTS_AT: Final = 16

Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, operand


def supports(machine: str) -> bool:
    """Tell whether there is a filter for this architecture, as `platform.machine()` names it."""
    return machine in NUMBERS


def assemble(machine: str, *, pid: int) -> bytes:
    """Return the filter for the process `pid`, ready for the kernel.

    pid: the only process that may be signalled, and only with SIGABRT, which libc's `abort` needs
    so that a crash is seen as a crash.
    """
    numbers = NUMBERS[machine]
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for block in _blocks(numbers, pid):
        code.extend(block)
    code.append((_RETURN, 0, 0, _KILL))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _blocks(numbers: dict[str, int], pid: int) -> Iterator[Sequence[Instruction]]:
    for name in ALLOWED:
        yield _block(numbers[name], [(_RETURN, 0, 0, _ALLOW)])
    for name in NOT_EXECUTABLE:
        yield _block(numbers[name], _unless_executable())
    own_memory = _if_arguments({0: 0, 1: resource.RLIMIT_AS})
    yield _block(numbers["prlimit64"], own_memory)
    yield _block(numbers["tgkill"], _if_arguments({0: pid, 2: signal.SIGABRT}))
    for name in REFUSED:
        if name in numbers:
            yield _block(numbers[name], [(_RETURN, 0, 0, _REFUSE)])


def _block(number: int, body: list[Instruction]) -> list[Instruction]:
    """Run `body` for one system call; it must end in a verdict on every path."""
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def _unless_executable() -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * 2),
        (_JUMP_ANY_BIT, 0, 1, mmap.PROT_EXEC),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _if_arguments(wanted: dict[int, int]) -> list[Instruction]:
    """Allow when the low words of these arguments are as wanted, else kill."""
    checks: list[Instruction] = []
    for place, (argument, value) in enumerate(wanted.items()):
        to_kill = 2 * (len(wanted) - place - 1) + 1
        checks.append((_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument))
        checks.append((_JUMP_EQUAL, 0, to_kill, value))
    return [*checks, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _KILL)]
