"""A client that follows gRPC's rules over restarts and never tries a call again.

A GOAWAY ends a connection for new calls: what the server took is waited for there; new calls, and
those that it says it did not take, go to the next one. All else that goes wrong is a failure.

Runs in: chaos, tests. Never: sends a call twice to a server that may have run it.
"""

import asyncio
import time
from collections import Counter

from scripts.support.rpc.caller import OK, REFUSED, Call, Caller, Headers, connect

CONNECT_S = 10.0


class RollingClient:
    """Keeps one connection that takes calls; older ones finish theirs."""

    def __init__(self, address: str, method: str, metadata: Headers = ()) -> None:
        self._address = address
        self._method = method
        self._metadata = metadata
        self._current: Caller | None = None
        self._opening = asyncio.Lock()
        self.taken_ms: list[float] = []
        self.failed: Counter[int] = Counter()  # by status, see caller.py
        self.moved = 0  # calls that a server did not take and the next one did
        self.connections = 0

    async def call(self, frame: bytes) -> int:
        """Make one call and return its status."""
        begun_s = time.perf_counter()
        status = REFUSED
        while status == REFUSED:
            status = await self._try(frame)
            self.moved += status == REFUSED
        self.taken_ms.append((time.perf_counter() - begun_s) * 1000)
        if status != OK:
            self.failed[status] += 1
        return status

    async def close(self) -> None:
        if self._current is not None:
            self._current.close()
            await self._current.closed

    async def _try(self, frame: bytes) -> int:
        caller = self._current
        if caller is None or not caller.is_open:
            caller = await self._connected()
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def end(call: Call) -> None:
            if not done.done():
                done.set_result(call.status)

        caller.call(frame, end)
        caller.flush()
        return await done

    async def _connected(self) -> Caller:
        async with self._opening:
            if self._current is None or not self._current.is_open:
                opening = connect(self._address, self._method, self._metadata)
                self._current = await asyncio.wait_for(opening, CONNECT_S)
                self.connections += 1
            return self._current
