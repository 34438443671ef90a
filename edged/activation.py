"""Sockets that systemd bound and hands to this process, by the names of their units.

Runs in: the supervisor. Never: takes one that was meant for another process.

The protocol is sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES; descriptors from 3 on.
"""

import os
import socket
from collections.abc import Mapping

from edged.errors import ConfigInvalid

FIRST_DESCRIPTOR = 3
NAMES = ("grpc", "http")


def activated(environment: Mapping[str, str]) -> dict[str, socket.socket]:
    """Return the listening sockets by name: grpc, http. Raises ConfigInvalid on another name."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, socket.socket] = {}
    for offset, name in zip(range(count), names, strict=False):
        if name not in NAMES or name in found:
            reason = f"systemd hands over a socket named {name!r}; FileDescriptorName= grpc or http"
            raise ConfigInvalid(source="LISTEN_FDNAMES", reason=reason)
        found[name] = socket.socket(fileno=FIRST_DESCRIPTOR + offset)
        found[name].set_inheritable(False)
    return found


def address_of(listener: socket.socket) -> str:
    """Return host:port, [host]:port or unix:/path."""
    name = listener.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
