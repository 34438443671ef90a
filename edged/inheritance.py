"""What a child process inherits from the supervisor: settings, sockets and who its parent is.

It travels in an anonymous file, so that no setting shows in a command line or an environment.
Runs in: the supervisor (send), the gateway and the agent (receive). Never: touches the disk.
"""

import ctypes
import json
import os
import signal
from dataclasses import asdict, dataclass

from edged.deployment import Deployment

PR_SET_PDEATHSIG = 1
EXIT_UNUSABLE = 3  # of a child: this machine will not do, and a restart would not help


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """Sent once at spawn.

    settings: Deployment.render(). descriptors: by name (http, control, ready). grpc_address: the
    reserved host:port. control_path: the gateway's control socket. parent: the supervisor's pid.
    """

    settings: str
    descriptors: dict[str, int]
    grpc_address: str
    control_path: str
    parent: int

    def send(self) -> int:
        """Return a descriptor for the child to read."""
        descriptor = os.memfd_create("edged-inheritance", 0)
        os.write(descriptor, json.dumps(asdict(self)).encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    @property
    def deployment(self) -> Deployment:
        return Deployment.inherited(self.settings.encode())


def receive(descriptor: int) -> Inheritance:
    """Read what the supervisor sent, and stop with it: SIGTERM when the supervisor dies."""
    with os.fdopen(descriptor, "rb") as file:
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
