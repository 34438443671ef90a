"""grpcio's two clients behind one face, so that each case is written once.

The server runs in the test's own loop; the sync client therefore waits in threads.
"""

import asyncio
import queue
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

PATH = "/loopai.test.Conformance/{}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call. messages: all that were not read before."""

    messages: list[bytes]
    code: grpc.StatusCode
    details: str
    initial: dict[str, str | bytes]
    trailing: dict[str, str | bytes]

    @property
    def message(self) -> bytes:
        [message] = self.messages
        return message


class Caller:
    """What both clients share."""

    begin: Callable[..., Any]

    async def call(self, kind: str, *messages: bytes, **how: Any) -> Answer:
        if not kind.startswith("stream"):
            return await self.begin(kind, *messages, **how).finish()
        exchange = self.begin(kind, **how)
        for message in messages:
            await exchange.write(message)
        await exchange.done_writing()
        return await exchange.finish()


class AioCaller(Caller):
    """The asyncio client."""

    def __init__(self, target: str, credentials: Any = None, **how: Any) -> None:
        self._channel = (
            grpc.aio.secure_channel(target, credentials, **how)
            if credentials
            else grpc.aio.insecure_channel(target, **how)
        )

    @property
    def channel(self) -> grpc.aio.Channel:
        return self._channel

    def begin(self, kind: str, message: bytes | None = None, **how: Any) -> "AioExchange":
        """Start a call. message: of the kinds that take one; the others `write`."""
        method = getattr(self._channel, kind)(PATH.format(kind))
        return AioExchange(method(*([] if message is None else [message]), **how), kind)

    async def close(self) -> None:
        await self._channel.close()


class AioExchange:
    """One call of the asyncio client."""

    def __init__(self, call: Any, kind: str) -> None:
        self._call = call
        self._is_streaming = kind.endswith("stream")

    async def write(self, message: bytes) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the answer says why
            await self._call.write(message)

    async def done_writing(self) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()

    async def read(self) -> bytes | None:
        message = await self._call.read()
        return None if message is grpc.aio.EOF else message

    async def initial(self) -> dict[str, str | bytes]:
        return dict(await self._call.initial_metadata())

    def cancel(self) -> None:
        self._call.cancel()

    async def finish(self) -> Answer:
        messages: list[bytes] = []
        try:
            if self._is_streaming:
                while (message := await self.read()) is not None:
                    messages.append(message)
            else:
                messages.append(await self._call)
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            pass
        return Answer(
            messages,
            await self._call.code(),
            await self._call.details(),
            dict(await self._call.initial_metadata() or ()),
            dict(await self._call.trailing_metadata() or ()),
        )


class SyncCaller(Caller):
    """The client for threads."""

    def __init__(self, target: str, credentials: Any = None, **how: Any) -> None:
        self._channel = (
            grpc.secure_channel(target, credentials, **how)
            if credentials
            else grpc.insecure_channel(target, **how)
        )

    def begin(self, kind: str, message: bytes | None = None, **how: Any) -> "SyncExchange":
        method = getattr(self._channel, kind)(PATH.format(kind))
        written: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        start = method if kind.endswith("stream") else method.future
        return SyncExchange(
            start(iter(written.get, None) if message is None else message, **how), kind, written
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._channel.close)


class SyncExchange:
    """One call of the client for threads."""

    def __init__(self, call: Any, kind: str, written: "queue.SimpleQueue[bytes | None]") -> None:
        self._call = call
        self._is_streaming = kind.endswith("stream")
        self._written = written

    async def write(self, message: bytes) -> None:
        self._written.put(message)

    async def done_writing(self) -> None:
        self._written.put(None)

    async def read(self) -> bytes | None:
        return await asyncio.to_thread(next, self._call, None)

    async def initial(self) -> dict[str, str | bytes]:
        return dict(await asyncio.to_thread(self._call.initial_metadata))

    def cancel(self) -> None:
        self._call.cancel()

    async def finish(self) -> Answer:
        try:
            return await asyncio.to_thread(self._collect)
        finally:
            self._written.put(None)

    def _collect(self) -> Answer:
        messages: list[bytes] = []
        try:
            if self._is_streaming:
                messages.extend(self._call)
            else:
                messages.append(self._call.result())
        except (grpc.RpcError, grpc.FutureCancelledError):
            pass
        return Answer(
            messages,
            self._call.code(),
            self._call.details(),
            dict(self._call.initial_metadata() or ()),
            dict(self._call.trailing_metadata() or ()),
        )


CALLERS = {"sync": SyncCaller, "aio": AioCaller}
