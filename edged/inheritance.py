"""What a child process inherits from the supervisor: settings, sockets and who its parent is.

It travels in an anonymous file, so that no setting shows in a command line or an environment.
Runs in: the supervisor (Turn), the gateway and the agent (receive). Never: touches the disk.
"""

import ctypes
import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from edged.deployment import Deployment

PR_SET_PDEATHSIG = 1
SETTINGS_CHANGED = signal.SIGUSR1  # to an agent: end, and send nothing by the old ones
EXIT_UNUSABLE = 3  # of a child: this machine will not do, and a restart would not help


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """Given once, when a process may begin.

    settings: Deployment.render(). descriptors: by name (http, control, ready). grpc_address: the
    reserved host:port. control_path: the gateway's control socket. parent: the supervisor's pid.
    """

    settings: str
    descriptors: dict[str, int]
    grpc_address: str
    control_path: str
    parent: int

    def with_descriptors(self, descriptors: dict[str, int]) -> "Inheritance":
        return replace(self, descriptors=descriptors)

    @property
    def deployment(self) -> Deployment:
        return Deployment.inherited(self.settings.encode())


class Turn:
    """The supervisor's end of a spawned process's wait: settings, then the word to begin."""

    def __init__(self, settings: int, waiting: int, begin: int) -> None:
        self._settings = settings
        self._waiting = waiting
        self._begin = begin

    @classmethod
    def create(cls) -> "Turn":
        waiting, begin = os.pipe()
        return cls(os.memfd_create("edged-inheritance", 0), waiting, begin)

    @property
    def theirs(self) -> tuple[int, int]:
        return self._settings, self._waiting

    @property
    def words(self) -> tuple[str, str]:
        """The arguments that tell the process where to wait."""
        return str(self._settings), str(self._waiting)

    def close_theirs(self) -> None:
        os.close(self._waiting)

    def give(self, inheritance: Inheritance) -> None:
        """Let it begin. One that has died meanwhile is noticed by its end."""
        os.write(self._settings, json.dumps(asdict(inheritance)).encode())
        os.lseek(self._settings, 0, os.SEEK_SET)
        with suppress(BrokenPipeError):
            os.write(self._begin, b"1")
        self._close_settings()

    def close(self) -> None:
        self._close_settings()
        os.close(self._begin)

    def _close_settings(self) -> None:
        if self._settings >= 0:
            os.close(self._settings)
            self._settings = -1


def receive(settings: str, waiting: str) -> Inheritance:
    """Wait for the turn, read what the supervisor gave, and stop with it: SIGTERM when it dies."""
    with os.fdopen(int(waiting), "rb") as pipe:
        if pipe.read(1) != b"1":
            raise SystemExit("the supervisor is gone")
    with os.fdopen(int(settings), "rb") as file:
        inheritance = Inheritance(**json.load(file))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != inheritance.parent:  # it died before the line above
        raise SystemExit("the supervisor is gone")
    return inheritance


def say_ready(inheritance: Inheritance) -> None:
    """Tell the supervisor that this process does its work now."""
    descriptor = inheritance.descriptors["ready"]
    os.write(descriptor, b"1")
    os.close(descriptor)
