"""What a handler sees of its call: the interface of `grpc.aio.ServicerContext`.

Runs in: the process of the server. Talks to: the call. Never: outlives it.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NoReturn

import structlog
from grpc.aio import EOF, AbortError

from edged.rpc.call import Call, CallEnded
from edged.rpc.codes import Code, Metadata, RpcError, StatusCode, number_of
from edged.rpc.framing import ENCODINGS
from edged.rpc.metadata import read_metadata
from edged.rpc.methods import MethodHandler

log = structlog.get_logger(__name__)

COMPRESSIONS = (b"identity", b"deflate", b"gzip")  # by the numbers of grpc.Compression


class Aborted(RpcError, AbortError):
    """Raised by `abort`; handlers and interceptors written for grpc.aio know it as AbortError."""


class Context:
    """Given to every handler that is not raw."""

    def __init__(self, call: Call, metadata: Metadata) -> None:
        self._call = call
        self._metadata = metadata
        self._trailing: Metadata = ()
        self._code: int | StatusCode = Code.OK  # as the handler gave it
        self._details = ""
        self._is_next_compressed = True
        self._handler: MethodHandler | None = None

    def serve(self, handler: MethodHandler) -> None:
        """Use this handler's serialisers from now on."""
        self._handler = handler

    # Who calls, and until when

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def peer(self) -> str:
        """Return `ipv4:host:port`, `ipv6:[host]:port` or `unix:`."""
        return self._call.connection.peer.address

    def peer_identities(self) -> Iterable[bytes] | None:
        """Return the names in the client's certificate; None without one."""
        peer = self._call.connection.peer
        return peer.identities or None

    def peer_identity_key(self) -> str | None:
        return self._call.connection.peer.identity_key

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return self._call.connection.peer.auth_context()

    def time_remaining(self) -> float | None:
        """Return seconds until the client's deadline, not below 0; None without one."""
        call = self._call
        if call.deadline_s is None:
            return None
        return max(0.0, call.deadline_s - call.connection.loop.time())

    # Status

    def set_code(self, code: int | StatusCode) -> None:
        """Raises AttributeError when it is no code, which could not be sent later either."""
        number_of(code)
        self._code = code

    def set_details(self, details: str) -> None:
        self._details = details

    def code(self) -> int | StatusCode:
        return self._code

    @property
    def status(self) -> int:
        return number_of(self._code)

    def details(self) -> str:
        return self._details

    def set_trailing_metadata(self, trailing_metadata: Iterable[tuple[str, str | bytes]]) -> None:
        self._trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Metadata:
        return self._trailing

    def abort(
        self,
        code: int | StatusCode,
        details: str = "",
        trailing_metadata: Iterable[tuple[str, str | bytes]] = (),
    ) -> NoReturn:
        """End the call with this status, which is not OK. Always raises Aborted.

        The call has ended even if the handler catches what is raised. It raises before anything
        is awaited: a handler that is no coroutine may abort too. details, trailing_metadata: those
        that were set, where none are given.
        """
        if number_of(code) == Code.OK:
            raise ValueError("abort() needs a status other than OK")
        trailing = tuple(trailing_metadata) or self._trailing
        ended = Aborted(code, details or self._details, trailing)
        self._call.fail(ended.code, ended.details, ended.trailing_metadata)
        raise ended

    def abort_with_status(self, status: Any) -> NoReturn:
        self.abort(status.code, status.details, status.trailing_metadata or ())

    # Messages

    async def read(self) -> Any:
        """Return the next request; `grpc.aio.EOF` after the last."""
        message = await self._call.read()
        if message is None:
            return EOF
        return self._decoded(message)

    async def requests(self) -> AsyncIterator[Any]:
        """Iterate over the requests."""
        while (message := await self._call.read()) is not None:
            yield self._decoded(message)

    async def only_request(self) -> Any:
        """Return the request of a method that takes one. Raises RpcError."""
        message = await self._call.read()
        if message is None:
            raise RpcError(Code.UNIMPLEMENTED, "the method takes one message, and none came")
        if await self._call.read() is not None:
            raise RpcError(Code.UNIMPLEMENTED, "the method takes one message, and more came")
        return self._decoded(message)

    async def write(self, message: Any) -> None:
        """Send a response and wait until there is room for the next."""
        serialise = self._handler and self._handler.response_serializer
        try:
            data = serialise(message) if serialise else message
        except Exception as error:
            log.exception("rpc_response_unserialisable")
            raise RpcError(Code.INTERNAL, "the response cannot be serialised") from error
        self._call.begin()
        is_compressed, self._is_next_compressed = self._is_next_compressed, True
        await self._call.write(data, is_compressed=is_compressed)

    async def send_initial_metadata(
        self, initial_metadata: Iterable[tuple[str, str | bytes]]
    ) -> None:
        """Send the headers now. Raises RuntimeError when they were sent."""
        if self._call.has_headers:
            raise RuntimeError("the initial metadata was sent already")
        self._call.begin(tuple(initial_metadata))

    def set_compression(self, compression: int) -> None:
        """Compress what follows, where the client accepts it. Before the headers only."""
        if self._call.has_headers:
            raise RuntimeError("the compression is told in the headers, which were sent already")
        self._call.response_encoding = agreed_encoding(self._call.headers, int(compression))

    def disable_next_message_compression(self) -> None:
        self._is_next_compressed = False

    # Life

    def cancelled(self) -> bool:
        return self._call.is_cancelled

    def done(self) -> bool:
        return self._call.is_finished

    def add_done_callback(self, callback: Callable[["Context"], None]) -> None:
        self._call.on_closed.append(lambda: callback(self))

    def end(self) -> None:
        """Send the status that the handler set."""
        try:
            if self.status == Code.OK:
                self._call.begin()
        except CallEnded:
            return
        self._call.fail(self.status, self._details, self._trailing)

    def _decoded(self, message: bytes) -> Any:
        read = self._handler and self._handler.request_deserializer
        try:
            return read(message) if read else message
        except Exception as error:
            raise RpcError(Code.INTERNAL, "the request is not what the method takes") from error


def agreed_encoding(headers: Mapping[bytes, bytes], compression: int) -> bytes:
    """Return the encoding for a `grpc.Compression`, or identity where the client has none of it."""
    wanted = COMPRESSIONS[compression]
    accepted = headers.get(b"grpc-accept-encoding", b"").replace(b" ", b"").split(b",")
    return wanted if wanted in accepted and wanted in ENCODINGS else b"identity"


def invocation_metadata(pairs: Iterable[tuple[bytes, bytes]]) -> Metadata:
    """Return the metadata. Raises RpcError when it cannot be read."""
    try:
        return read_metadata(pairs)
    except ValueError as error:
        raise RpcError(Code.INTERNAL, str(error)) from error
