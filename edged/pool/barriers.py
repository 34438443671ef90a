"""The barriers of the jail by name: what each one stops, and how a machine comes to have it.

Runs in: the process that owns a pool, and `edged doctor`. Pure values.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    name: str
    stops: str
    """What a program that has broken out of its language cannot do because of it."""
    get_it: str
    """What to do on a machine that lacks it."""


BARRIERS: Final = (
    Barrier(
        name="clean_zygote",
        stops="finding keys, settings or another task's data in its own memory",
        get_it="start edged by its own command; the pool then starts the zygote with an empty"
        " environment. Missing means that something injects into every process (LD_PRELOAD,"
        " a tracing agent): exempt edged from it",
    ),
    Barrier(
        name="seccomp",
        stops="every system call that a running interpreter does not need",
        get_it="Linux on x86_64 or aarch64 with CONFIG_SECCOMP_FILTER. In a systemd unit,"
        " SystemCallFilter needs @sandbox; a container profile must allow prctl",
    ),
    Barrier(
        name="no_new_privs",
        stops="gaining rights by running a setuid file",
        get_it="Linux 3.5 or newer; a container profile must allow prctl",
    ),
    Barrier(
        name="rlimits",
        stops="filling the machine's memory, opening files, starting processes, dumping core",
        get_it="a container profile must allow setrlimit and prlimit64",
    ),
    Barrier(
        name="not_dumpable",
        stops="being read or traced by another process of the same user",
        get_it="a container profile must allow prctl(PR_SET_DUMPABLE)",
    ),
    Barrier(
        name="dies_with_parent",
        stops="outliving the gateway",
        get_it="a container profile must allow prctl(PR_SET_PDEATHSIG)",
    ),
    Barrier(
        name="no_executable_memory",
        stops="running machine code of its own making",
        get_it="seccomp on x86_64 or aarch64; Linux 6.3 or newer (PR_SET_MDWE) stops it twice",
    ),
    Barrier(
        name="landlock",
        stops="reaching files, TCP, foreign signals and abstract sockets, should seccomp fail",
        get_it="Linux 5.13 or newer with landlock in the boot parameter lsm= (files; TCP from 6.7,"
        " signals and sockets from 6.12); Docker engine 22 or newer. gVisor has none",
    ),
    Barrier(
        name="uid_dropped",
        stops="signalling or reading processes of the user that edged runs as",
        get_it="run edged as root, or in a container that keeps SETUID and SETGID; a systemd unit"
        " with User= and a restricted Kubernetes pod go without",
    ),
    Barrier(
        name="namespaces",
        stops="speaking on the machine's network, even where seccomp and Landlock both fail",
        get_it="run edged with CAP_SYS_ADMIN, in systemd without RestrictNamespaces=. Docker's and"
        " Kubernetes' defaults go without",
    ),
)

KNOWN_BARRIERS: Final = frozenset(barrier.name for barrier in BARRIERS)
MINIMUM: Final = ("seccomp", "no_new_privs", "rlimits", "clean_zygote")
"""What a pool requires by default: without these four nothing stands behind the language."""
