"""Our own load generator: gRPC on bare HTTP/2 or HTTP/1.1, closed loop or steady rate.

Runs in: its own process, started by load.py with one JSON argument; prints a Sample. Never: aims at
anything but loopback, or runs longer than asked.
"""

import asyncio
import ctypes
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

import uvloop

from scripts.support.bench.http1 import connect as connect_http1
from scripts.support.bench.load import (
    OWN,
    STEADY_CONNECTIONS,
    Sample,
    Target,
    connections_for,
)
from scripts.support.rpc.caller import Call, connect, framed, tls_context

LAST_ANSWERS_S = 2.0


class Connection(Protocol):
    """What both kinds of connection offer."""

    def call(self, frame: bytes, done: Callable[[Call], None], begun_s: float = 0.0) -> None:
        """Queue one call."""

    def flush(self) -> None:
        """Send what was queued."""

    def close(self) -> None:
        """End it."""


class Tally:
    """The answers so far."""

    def __init__(self) -> None:
        self.taken_ms: list[float] = []
        self.failed = 0
        self.data_bytes = 0
        self.outstanding = 0

    def count(self, call: Call) -> None:
        self.outstanding -= 1
        if call.status:
            self.failed += 1
            return
        self.taken_ms.append((time.perf_counter() - call.begun_s) * 1000)
        self.data_bytes += len(call.body)

    async def wait(self, is_over: asyncio.Event, seconds: float) -> None:
        """Wait for the last answers; what does not come is a failure."""
        try:
            await asyncio.wait_for(is_over.wait(), seconds + LAST_ANSWERS_S)
        except TimeoutError:
            self.failed += self.outstanding


async def keep_in_flight(
    connections: list[Connection], frame: bytes, in_flight: int, seconds: float, calls: float
) -> Tally:
    """Begin a call whenever one ends, for `seconds` or until `calls` were made."""
    tally = Tally()
    end_s = time.perf_counter() + seconds
    left = calls
    is_over = asyncio.Event()

    def begin(connection: Connection) -> None:
        nonlocal left
        left -= 1
        tally.outstanding += 1
        connection.call(frame, ended[connection])

    def make_ended(connection: Connection) -> Callable[[Call], None]:
        def end(call: Call) -> None:
            tally.count(call)
            if left > 0 and time.perf_counter() < end_s and call.status >= 0:
                begin(connection)
            elif not tally.outstanding:
                is_over.set()

        return end

    ended = {connection: make_ended(connection) for connection in connections}
    for number in range(in_flight):
        begin(connections[number % len(connections)])
    for connection in connections:
        connection.flush()
    await tally.wait(is_over, seconds)
    return tally


async def send_steadily(
    connections: list[Connection], frame: bytes, rate: float, seconds: float
) -> Tally:
    """Send a call every 1/rate seconds; when the machine was late, all that are due at once."""
    tally = Tally()
    total = int(rate * seconds)
    sent = 0
    is_over = asyncio.Event()
    begun_s = time.perf_counter()

    def end(call: Call) -> None:
        tally.count(call)
        if sent == total and not tally.outstanding:
            is_over.set()

    def send_due() -> None:
        nonlocal sent
        os.read(timer, 8)
        due = min(total, int((time.perf_counter() - begun_s) * rate) + 1)
        touched = set()
        for number in range(sent, due):
            connection = connections[number % len(connections)]
            tally.outstanding += 1
            connection.call(frame, end, begun_s + number / rate)
            touched.add(connection)
        sent = due
        for connection in touched:
            connection.flush()
        if sent == total:
            loop.remove_reader(timer)

    loop = asyncio.get_running_loop()
    timer = _interval_timer(1 / rate)
    loop.add_reader(timer, send_due)
    await tally.wait(is_over, seconds)
    os.close(timer)
    return tally


def _interval_timer(interval_s: float) -> int:
    """Return a timerfd: the loop's own timers are no finer than a millisecond."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
    seconds, nanoseconds = divmod(int(interval_s * 1e9), 1_000_000_000)
    spec = (ctypes.c_long * 4)(seconds, nanoseconds, seconds, nanoseconds)
    if descriptor < 0 or libc.timerfd_settime(descriptor, 0, spec, None) < 0:
        raise OSError(ctypes.get_errno(), "timerfd")
    return descriptor


async def _run(how: dict[str, Any]) -> Sample:
    words = how["target"]
    target = Target(**{**words, "message": bytes.fromhex(words["message"])})
    rate, in_flight = how.get("rate"), int(how.get("in_flight", 0))
    seconds = how.get("seconds", 60.0)
    many = STEADY_CONNECTIONS if rate else in_flight if target.http1 else connections_for(in_flight)
    connections = [await _connect(target) for _ in range(many)]
    frame = target.message if target.http1 else framed(target.message)
    begun_s = time.perf_counter()
    if rate:
        tally = await send_steadily(connections, frame, rate, seconds)
    else:
        calls = how.get("calls", math.inf)
        tally = await keep_in_flight(connections, frame, in_flight, seconds, calls)
    taken_s = time.perf_counter() - begun_s
    for connection in connections:
        connection.close()
    return Sample.of(tally.taken_ms, tally.failed, taken_s, tally.data_bytes, OWN)


async def _connect(target: Target) -> Connection:
    if target.http1:
        return await connect_http1(target.address, target.method)
    metadata = tuple((name.encode(), value.encode()) for name, value in target.metadata)
    tls = tls_context(target.ca) if target.ca else None
    return await connect(target.address, target.method, metadata, tls=tls)


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_run(json.loads(sys.argv[1]))))))
