"""The messages between a pool and its zygote, each one packet with file descriptors beside it.

Runs in: the zygote and the process that owns the pool. Never: carries program text or secrets.

pool → zygote    CONFIGURE, once, as JSON; then SPAWN with a socket and a page for each worker
zygote → pool    HELLO, once, as JSON; then SPAWNED with a pidfd, and EXITED with a wait status
"""

import array
import enum
import json
import socket
import struct
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

from edged.sandbox.layers import NOTHING

_HEAD: Final = struct.Struct("<BIi")
_MAX_BYTES: Final = 16 * 1024
_MAX_FDS: Final = 2


class Order(enum.IntEnum):
    CONFIGURE = 1
    SPAWN = 2
    HELLO = 3
    SPAWNED = 4
    EXITED = 5


class Message(NamedTuple):
    """value: a process id or a wait status. fds: the receiver owns them."""

    order: Order
    worker_id: int
    value: int
    text: bytes
    fds: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a zygote needs to know. None of it is secret: workers inherit it."""

    parent_pid: int
    memory_bytes: int
    require: tuple[str, ...]
    without: frozenset[str] = NOTHING  # layers; a daemon's pool leaves none out
    has_monty: bool = False

    def pack(self) -> bytes:
        return json.dumps(asdict(self) | {"without": sorted(self.without)}).encode()

    @classmethod
    def unpack(cls, text: bytes) -> "Setup":
        fields = json.loads(text)
        return cls(
            parent_pid=fields["parent_pid"],
            memory_bytes=fields["memory_bytes"],
            require=tuple(fields["require"]),
            without=frozenset(fields["without"]),
            has_monty=fields["has_monty"],
        )


def send(
    channel: socket.socket,
    order: Order,
    worker_id: int = 0,
    value: int = 0,
    text: bytes = b"",
    *,
    fds: tuple[int, ...] = (),
) -> None:
    """Send one message. Raises OSError when the other side is gone."""
    packet = _HEAD.pack(order, worker_id, value) + text
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([packet], beside)


def receive(channel: socket.socket) -> Message | None:
    """Return the next message, or None when the other side is gone."""
    packet, fds, _flags, _address = socket.recv_fds(channel, _MAX_BYTES, _MAX_FDS)
    if not packet:
        return None
    order, worker_id, value = _HEAD.unpack_from(packet)
    return Message(Order(order), worker_id, value, packet[_HEAD.size :], tuple(fds))
