"""The gRPC server: what `grpc.aio.server` offers, on libnghttp2.

    rpc = server(options=(("grpc.max_concurrent_streams", 100),))
    add_EdgeServiceServicer_to_server(servicer, rpc)
    rpc.add_raw_method("/package.Service/Method", handler)
    rpc.add_insecure_port("127.0.0.1:50051")
    await rpc.start()
    await rpc.stop(grace=10)

Runs in: any process with an event loop, uvloop for speed. Never: forks, or starts a thread.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import attrgetter
from typing import Any, Final

import grpc.aio
import structlog

from edged.rpc import options as channel_options
from edged.rpc.call import Call
from edged.rpc.codes import RpcError
from edged.rpc.connection import Connection
from edged.rpc.context import agreed_encoding, invocation_metadata
from edged.rpc.handling import handle
from edged.rpc.limits import Counters, Limits
from edged.rpc.listener import Listener, bind
from edged.rpc.metadata import Header
from edged.rpc.methods import GenericHandler, Interceptor, MethodHandler, Methods
from edged.rpc.peer import Peer
from edged.rpc.stream import RawHandler
from edged.rpc.tls import Tls, TlsFiles

log = structlog.get_logger(__name__)

_TICK_S: Final = 1.0
_LAST_WORDS_S: Final = 0.2  # for what is written when the grace is over

Admission = Callable[[bytes, Mapping[bytes, bytes], Peer], None]


def server(
    migration_thread_pool: None = None,
    handlers: Sequence[GenericHandler] | None = None,
    interceptors: Sequence[Interceptor] | None = None,
    options: Sequence[tuple[str, Any]] | None = None,
    maximum_concurrent_rpcs: int | None = None,
    compression: int | None = None,
    *,
    limits: Limits | None = None,
    admit: Admission | None = None,
) -> "Server":
    """Return a server that is not started.

    migration_thread_pool: handlers run on the loop; there is none. options: gRPC's, as far as
    `options.py` knows them. compression: a `grpc.Compression`; raw methods answer plain. limits:
    what the options have no name for. admit: is given path, headers and peer of every call, raw
    ones too, and raises RpcError to refuse it.
    Raises OptionUnknown, ValueError.
    """
    if migration_thread_pool is not None:
        raise ValueError("handlers run on the event loop, not in threads: write them async")
    read, shares_port = channel_options.read(options or (), limits or Limits())
    if maximum_concurrent_rpcs is not None:
        read = replace(read, max_concurrent_rpcs=maximum_concurrent_rpcs)
    methods = Methods(interceptors=tuple(interceptors or ()))
    methods.add_generic(handlers or ())
    return Server(
        read, methods, compression=int(compression or 0), shares_port=shares_port, admit=admit
    )


class Server(grpc.aio.Server):
    """Made by `server`. Everything is registered before `start`.

    It is a `grpc.aio.Server` by name only: grpcio-reflection asks for the type.
    """

    def __init__(
        self,
        limits: Limits,
        methods: Methods,
        *,
        compression: int,
        shares_port: bool,
        admit: Admission | None,
    ) -> None:
        self.limits = limits
        self.counters = Counters()
        self.loop: asyncio.AbstractEventLoop
        self._methods = methods
        self._compression = compression
        self._shares_port = shares_port
        self._admit = admit
        self._listeners: list[Listener] = []
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()  # handlers
        self._held_bytes = 0  # of requests, in memory
        self._ticker: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()  # set when the last connection has gone
        self._stopped = asyncio.Event()

    # Registration

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[GenericHandler]) -> None:
        self._methods.add_generic(generic_rpc_handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, MethodHandler]
    ) -> None:
        self._methods.add_registered(service_name, method_handlers)

    def add_raw_method(self, path: str, handler: RawHandler) -> None:
        """Give a unary method to a handler of bytes, past interceptors, tasks and contexts.

        handler: is given the request and the call, and sees to it that the call is replied to or
        failed once, now or later.
        """
        self._methods.raw[path.encode()] = handler

    def add_insecure_port(self, address: str) -> int:
        """Bind `host:port` or `unix:path`; return the port. Raises OSError, ValueError."""
        return self.add_listener(bind(address, shares_port=self._shares_port))

    def add_secure_port(  # type: ignore[override]  # settings of our own: TLS 1.3, renewal
        self, address: str, tls: Tls
    ) -> int:
        """Bind with TLS 1.3; return the port. Raises OSError, ValueError, TlsUnusable."""
        files = TlsFiles(tls)
        return self._add(bind(address, shares_port=self._shares_port), files)

    def add_listener(self, listener: socket.socket, tls: Tls | None = None) -> int:
        """Serve a socket that listens already, such as an inherited one; return its port."""
        return self._add(listener, TlsFiles(tls) if tls else None)

    def _add(self, listener: socket.socket, files: TlsFiles | None) -> int:
        added = Listener(listener, files, lambda: Connection(self), self.limits, self.counters)
        self._listeners.append(added)
        return added.port

    # Life

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._ticker = self.loop.call_later(_TICK_S, self._tick)
        for listener in self._listeners:
            listener.open(self.loop)

    async def stop(self, grace: float | None) -> None:
        """Take no new connection, let running calls end within `grace` seconds, close.

        Clients are told by GOAWAY which of their calls are taken, so that they lose none.
        """
        for listener in self._listeners:
            await listener.close()
        self._listeners.clear()
        for connection in list(self._connections):
            connection.drain()
        if grace:
            await self._wait_empty(grace)
        await self._end()
        self._stopped.set()

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        """Wait until stopped; return whether the time ran out first, as grpc.aio does."""
        try:
            await asyncio.wait_for(self._stopped.wait(), timeout)
        except TimeoutError:
            return True
        return False

    async def _end(self) -> None:
        """Cancel what still runs and close what is still open."""
        if self._ticker is not None:
            self._ticker.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.close()
        await self._wait_empty(_LAST_WORDS_S)
        for connection in list(self._connections):
            connection.abort()

    async def _wait_empty(self, most_s: float) -> None:
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), most_s)

    # What connections ask for

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.counters.connections -= 1
        if not self._connections:
            self._empty.set()

    def hold(self, count: int) -> None:
        self._held_bytes += count
        if count > 0 and self._held_bytes > self.limits.max_received_bytes:
            self._end_largest()

    def admit(self, path: bytes, headers: Mapping[bytes, bytes], peer: Peer) -> None:
        if self._admit is not None:
            self._admit(path, headers, peer)

    def raw_handler(self, path: bytes) -> RawHandler | None:
        return self._methods.raw.get(path)

    def serve(self, call: Call, path: bytes, headers: Sequence[Header]) -> None:
        try:
            metadata = invocation_metadata(headers)
        except RpcError as error:
            call.fail(error.code, error.details)
            return
        if self._compression:
            call.response_encoding = agreed_encoding(call.headers, self._compression)
        call.task = self._own(handle(call, path.decode("latin-1"), metadata, self._methods))

    # Inside

    def _own(self, coroutine: Any) -> asyncio.Task[None]:
        """Start a task that this server ends when it stops."""
        task: asyncio.Task[None] = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tick(self) -> None:
        self._ticker = self.loop.call_later(_TICK_S, self._tick)
        now_s = self.loop.time()
        for connection in list(self._connections):
            _tick_one(connection, now_s)
        self._shed()
        for listener in self._listeners:
            listener.tick()

    def _end_largest(self) -> None:
        """End requests that hold most, until an eighth is free: to look for them costs a while.

        What is complete and at work is spared.
        """
        enough = self.limits.max_received_bytes * 7 // 8
        streams = chain.from_iterable(one.streams.values() for one in self._connections)
        waiting = [stream for stream in streams if stream.is_waiting]
        for stream in sorted(waiting, key=attrgetter("held_bytes"), reverse=True):
            if self._held_bytes <= enough:
                return
            self.counters.received_bytes_refused += 1
            stream.shed()
            stream.hold(-stream.held_bytes)

    def _shed(self) -> None:
        """Close the connection whose client leaves most unread, when all leave too much."""
        unsent = {connection: connection.unsent_bytes for connection in self._connections}
        if sum(unsent.values()) > self.limits.max_unsent_total_bytes:
            self.counters.stalled_readers += 1
            max(unsent, key=unsent.__getitem__).abort()


def _tick_one(connection: Connection, now_s: float) -> None:
    try:
        connection.tick(now_s)
    except Exception:  # the others have their turn
        log.exception("connection_failed", peer=connection.peer.address)
        connection.abort()
