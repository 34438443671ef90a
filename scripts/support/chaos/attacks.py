"""What a hostile client of the gRPC door may try, one function each, and the counters it must move.

Runs in: scripts/chaos hostile. Talks to: the server it is given, on loopback. Never: asks for more
than one server holds, or goes on when the server has hung up.
"""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from scripts.support.rpc import frames

DRIP_S = 0.5
BOMB = gzip.compress(bytes(64 << 20), 9)  # 64 KB that want to be 64 MB
UNFINISHED_BYTES = 3 << 20  # of a message: below what one may have
UNFINISHED_CALLS = 14  # together above what all may have
READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What is attacked. method: of a unary call. large: a framed request with a large answer.

    connections: more than the server takes.
    """

    address: str
    tls: ssl.SSLContext
    method: str
    large: bytes
    connections: int


@dataclass(frozen=True, slots=True)
class Attack:
    """counter: which must move. pause_s: before each run."""

    run: Callable[[Door], Awaitable[None]]
    counter: str
    pause_s: float = 1.0


class Line:
    """One connection, of which nothing good is expected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def until_closed(self) -> None:
        while await self._reader.read(READ_BYTES):
            pass

    async def take_some(self) -> None:
        """Read what is there, so that the next write is not held up for ever."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._reader.read(READ_BYTES), DRIP_S)

    @property
    def is_closed(self) -> bool:
        return self._reader.at_eof()


@asynccontextmanager
async def line(door: Door, *, is_plain: bool = False) -> AsyncIterator[Line]:
    """Open a connection. Raises OSError when the server does not take it."""
    host, _, port = door.address.rpartition(":")
    reader, writer = await asyncio.open_connection(
        host,
        int(port),
        ssl=None if is_plain else door.tls,
        server_hostname=None if is_plain else "localhost",
    )
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


async def stalled_handshake(door: Door) -> None:
    async with line(door, is_plain=True) as one:
        await one.until_closed()


async def no_tls(door: Door) -> None:
    async with line(door, is_plain=True) as one:
        await one.send(frames.greeting())
        await one.until_closed()


async def no_preface(door: Door) -> None:
    async with line(door) as one:
        await one.until_closed()


async def half_open(door: Door) -> None:
    """Greet and fall silent: no ping is answered."""
    async with line(door) as one:
        await one.send(frames.greeting())
        await one.until_closed()


async def slow_headers(door: Door) -> None:
    """Send a header block a byte at a time."""
    async with line(door) as one:
        await one.send(frames.greeting() + b"\x00\x10\x00\x01\x04\x00\x00\x00\x01")
        while not one.is_closed:
            await one.send(b"\x10")
            await one.take_some()


async def ping_flood(door: Door) -> None:
    async with line(door) as one:
        await one.send(frames.greeting())
        for _ in range(50):
            await one.send(frames.frame(frames.PING, bytes(8)))
            await asyncio.sleep(0)
        await one.until_closed()


async def settings_flood(door: Door) -> None:
    async with line(door) as one:
        await one.send(frames.greeting() + frames.settings({3: 100}) * 300)
        await one.until_closed()


async def acknowledgement_flood(door: Door) -> None:
    """Send as many pings at once as one read of the server takes."""
    async with line(door) as one:
        await one.send(frames.greeting() + frames.frame(frames.PING, bytes(8)) * 10_000)
        await one.until_closed()


async def rapid_reset(door: Door) -> None:
    async with line(door) as one:
        fields = frames.call_fields(door.method)
        await one.send(frames.greeting())
        for first in range(1, 6_000, 200):
            await one.send(
                b"".join(
                    frames.headers(fields, stream) + frames.reset(stream)
                    for stream in range(first, first + 200, 2)
                )
            )
        await one.until_closed()


async def continuation_flood(door: Door) -> None:
    async with line(door) as one:
        opening = frames.frame(frames.HEADERS, frames.packed([(b"x-a", b"b")]), stream=1)
        more = frames.frame(frames.CONTINUATION, frames.packed([(b"x-a", b"b")]), stream=1)
        await one.send(frames.greeting() + opening + more * 2_000)
        await one.until_closed()


async def large_headers(door: Door) -> None:
    """One call with 32 KB of metadata: refused, and the connection lives."""
    async with line(door) as one:
        block = frames.packed(frames.call_fields(door.method, (b"x-a", b"b" * 32_000)))
        opening = frames.frame(frames.HEADERS, block[:16_000], stream=1)
        middle = frames.frame(frames.CONTINUATION, block[16_000:32_000], stream=1)
        last = frames.frame(frames.CONTINUATION, block[32_000:], flags=frames.END_HEADERS, stream=1)
        await one.send(frames.greeting() + opening + middle + last)
        await one.take_some()


async def huge_message(door: Door) -> None:
    """Announce a gigabyte."""
    async with line(door) as one:
        call = frames.headers(frames.call_fields(door.method), 1)
        await one.send(frames.greeting() + call + frames.data(b"\0\x40\0\0\0" + bytes(1_000), 1))
        await one.take_some()


async def gzip_bomb(door: Door) -> None:
    async with line(door) as one:
        fields = frames.call_fields(door.method, (b"grpc-encoding", b"gzip"))
        body = b"\1" + len(BOMB).to_bytes(4, "big") + BOMB
        call = frames.headers(fields, 1) + frames.data(body, 1, end=True)
        await one.send(frames.greeting() + call)
        await one.take_some()


async def unfinished_messages(door: Door) -> None:
    """Leave as many bytes of unfinished messages as the server lets us."""
    async with line(door) as one:
        await one.send(frames.greeting())
        body = b"\0" + (UNFINISHED_BYTES + 1).to_bytes(4, "big") + bytes(UNFINISHED_BYTES)
        streams = range(1, 2 * UNFINISHED_CALLS, 2)
        for stream in streams:
            await one.send(frames.headers(frames.call_fields(door.method), stream))
        # In turn, below one stream's window, until the server says that this is too much.
        for start in range(0, len(body), 128 << 10):
            for stream in streams:
                await one.send(frames.data(body[start : start + (128 << 10)], stream))
            await asyncio.sleep(0.02)


async def stalled_reader(door: Door) -> None:
    """Ask for large answers and read none of them."""
    async with line(door) as one:
        await one.send(frames.greeting({frames.INITIAL_WINDOW_SIZE: 0}))
        fields = frames.call_fields(door.method)
        for stream in range(1, 61, 2):
            call = frames.headers(fields, stream) + frames.data(door.large, stream, end=True)
            await one.send(call)
            await asyncio.sleep(0.1)
        while not one.is_closed:  # alive, but without room for an answer
            await one.send(frames.frame(frames.PING, bytes(8), flags=frames.ACK))
            await one.take_some()


async def too_many_connections(door: Door) -> None:
    host, _, port = door.address.rpartition(":")
    opened = []
    with suppress(OSError):
        for _ in range(door.connections):
            opened.append(await asyncio.open_connection(host, int(port)))  # noqa: PERF401
    await asyncio.sleep(1)
    for _, writer in opened:
        writer.transport.abort()


async def broken_frames(door: Door) -> None:
    async with line(door) as one:
        await one.send(frames.greeting() + frames.frame(frames.DATA, b"no such stream", stream=7))
        await one.until_closed()


async def many_open_calls(door: Door) -> None:
    """Open more calls than one connection may have, and finish none."""
    async with line(door) as one:
        await one.send(frames.greeting())
        await one.take_some()
        fields = frames.call_fields(door.method)
        await one.send(b"".join(frames.headers(fields, stream) for stream in range(1, 3_001, 2)))
        await one.take_some()


ATTACKS = {
    "stalled_handshake": Attack(stalled_handshake, "handshakes_stalled"),
    "no_tls": Attack(no_tls, "handshakes_failed"),
    "no_preface": Attack(no_preface, "prefaces_missing"),
    "half_open": Attack(half_open, "keepalives_unanswered"),
    "slow_headers": Attack(slow_headers, "keepalives_unanswered"),
    "ping_flood": Attack(ping_flood, "ping_floods"),
    "settings_flood": Attack(settings_flood, "settings_floods"),
    "acknowledgement_flood": Attack(acknowledgement_flood, "acknowledgement_floods"),
    "rapid_reset": Attack(rapid_reset, "rapid_resets"),
    "continuation_flood": Attack(continuation_flood, "continuation_floods"),
    "large_headers": Attack(large_headers, "metadata_too_large"),
    "huge_message": Attack(huge_message, "messages_too_large"),
    "gzip_bomb": Attack(gzip_bomb, "messages_too_large"),
    "unfinished_messages": Attack(unfinished_messages, "received_bytes_refused", 5.0),
    "stalled_reader": Attack(stalled_reader, "stalled_readers", 5.0),
    "too_many_connections": Attack(too_many_connections, "connections_refused", 5.0),
    "broken_frames": Attack(broken_frames, "protocol_errors"),
    "many_open_calls": Attack(many_open_calls, "protocol_errors"),
}


async def attack_for(door: Door, seconds: float) -> dict[str, int]:
    """Run every attack over and over beside the others; return how often each was tried."""
    tries = dict.fromkeys(ATTACKS, 0)

    async def go_on(name: str, attack: Attack) -> None:
        while True:
            await asyncio.sleep(attack.pause_s)
            tries[name] += 1
            with suppress(OSError):  # being thrown out is what it came for
                await attack.run(door)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for name, attack in ATTACKS.items():
                tasks.create_task(go_on(name, attack), name=name)
    return tries
