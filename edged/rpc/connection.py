"""One connection as gRPC sees it: requests become calls, replies become responses.

Runs in: the process of the server, on its loop. Talks to: its streams, the server. Never: awaits.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from edged.rpc.call import Call
from edged.rpc.codes import Code, Metadata, RpcError
from edged.rpc.framing import ACCEPTED, ENCODINGS, PREFIX
from edged.rpc.guard import Verdict
from edged.rpc.http2 import Http2
from edged.rpc.limits import Counters, Limits
from edged.rpc.metadata import Header, header_list_bytes, read_timeout_s, write_status
from edged.rpc.peer import Peer, peer_of
from edged.rpc.stream import RawCall, Refused, Stream

log = structlog.get_logger(__name__)

_RAW_CALL_BYTES: Final = 1024
"""What an open raw call costs beside its headers and its message."""
_CALL_BYTES: Final = 8 * 1024
"""The same with a task and a context."""
_DRAIN_PING: Final = b"draining"
_LIFE_PING: Final = b"are you?"
_GRPC_TYPE: Final = b"application/grpc"
_GRPC_TYPES: Final = (b"application/grpc+", b"application/grpc;")
_GRPC: Final[tuple[Header, ...]] = (
    (b":status", b"200"),
    (b"content-type", _GRPC_TYPE),
    (b"grpc-accept-encoding", ACCEPTED),
)
_NOT_GRPC: Final[tuple[Header, ...]] = ((b":status", b"415"),)
_OK: Final[tuple[Header, ...]] = ((b"grpc-status", b"0"),)


class _NotGrpc(RpcError):
    """A request that is answered as HTTP demands."""


class Owner(Protocol):
    """The server, as a connection sees it."""

    limits: Limits
    counters: Counters
    loop: asyncio.AbstractEventLoop

    def opened(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...

    def hold(self, count: int) -> None:
        """Account for what requests hold in memory; those that hold most end when it is much."""
        ...

    def admit(self, path: bytes, headers: Mapping[bytes, bytes], peer: Peer) -> None:
        """Raise RpcError when this caller may not make this call."""
        ...

    def raw_handler(self, path: bytes) -> Callable[[bytes, RawCall], None] | None: ...

    def serve(self, call: Call, path: bytes, headers: Sequence[Header]) -> None:
        """Start the handler's task."""
        ...


class Connection(Http2):
    """Invariant: `streams` holds every stream that is open, and no other."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner.limits, owner.counters, owner.loop)
        self.hold = owner.hold
        self.peer = Peer(address="")
        self.streams: dict[int, Stream] = {}
        self.is_draining = False
        self._is_unread = False  # the client leaves more answers unread than it may
        self._is_last_named = False  # the client knows which of its calls are taken
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        ssl_object = transport.get_extra_info("ssl_object")
        self.peer = peer_of(transport.get_extra_info("peername"), ssl_object)
        self._owner.opened(self)
        super().connection_made(transport)
        if ssl_object is not None and ssl_object.selected_alpn_protocol() != "h2":
            self.counters.handshakes_failed += 1
            log.info("connection_refused", peer=self.peer.address, reason="ALPN h2 not offered")
            self.close()

    # What calls ask for

    def reply(self, call: RawCall, message: bytes) -> None:
        """Answer a raw call, whole."""
        size = len(message)
        if size > self.limits.max_send_message_bytes:
            text = f"response message of {size} bytes is above the limit"
            self.end(call, Code.RESOURCE_EXHAUSTED, text)
            return
        self.respond_whole(call.id, _GRPC, PREFIX.pack(0, size) + message, _OK)
        self._ended(call)

    def begin(self, call: Call, metadata: Sequence[Header]) -> None:
        """Send the response's headers."""
        call.has_headers = True
        headers = [*_GRPC, *metadata]
        if call.response_encoding != b"identity":
            headers.append((b"grpc-encoding", call.response_encoding))
        self.respond(call.id, headers)

    def end(self, stream: Stream, code: int, details: str, trailing: Metadata = ()) -> None:
        """Send the status that ends the call; INTERNAL when its metadata cannot travel."""
        try:
            trailers = write_status(code, details, trailing)
        except (TypeError, ValueError) as error:
            log.warning("rpc_metadata_refused", reason=str(error))
            trailers = write_status(Code.INTERNAL, "the server's metadata cannot be sent")
        if stream.has_headers:
            self.send_trailers(stream.id, trailers)
        else:
            self.respond(stream.id, [*_GRPC, *trailers], end_stream=True)
        self._ended(stream)

    def refuse(self, stream: Refused, error: RpcError) -> None:
        """Send the status of a call that is not served."""
        if isinstance(error, _NotGrpc):
            self.respond(stream.id, _NOT_GRPC, end_stream=True)
            self._ended(stream)
        else:
            self.end(stream, error.code, error.details, error.trailing_metadata)

    # Life

    def drain(self) -> None:
        """Tell the client to go elsewhere with new calls; those on their way are still served."""
        if not self.is_draining:
            self.is_draining = True
            self.send_shutdown_notice()
            # The answer comes after everything that the client had sent before it knew.
            self.ping(_DRAIN_PING)

    def tick(self, now_s: float) -> None:
        """Do what time demands; called about once a second."""
        unsent = self.unsent_bytes
        verdict = self.guard.judge(
            now_s, has_calls=bool(self.streams), unsent_bytes=unsent, is_draining=self.is_draining
        )
        match verdict:
            case Verdict.PING:
                self.ping(_LIFE_PING)
            case Verdict.DRAIN:
                self.drain()
            case Verdict.SAY_LAST:
                self._name_last()
            case Verdict.ABORT:
                log.info("connection_closed", peer=self.peer.address, reason="silent or stalled")
                self.abort()
            case Verdict.NOTHING:
                self._is_unread = unsent > self.limits.max_unsent_bytes

    def on_sent(self) -> None:
        if self._is_last_named and not self.streams and self.transport is not None:
            self.transport.close()

    def on_lost(self) -> None:
        streams, self.streams = self.streams, {}
        self.counters.rpcs -= len(streams)
        for stream in streams.values():
            self._close(stream)
        self._owner.lost(self)

    # Events

    def on_request(self, event: Any) -> None:
        stream = self._opened(event.stream_id, event.headers)
        if event.end_stream:
            stream.take(b"", is_end=True)

    def on_data(self, event: Any) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.take(event.data, is_end=event.end_stream)

    def on_trailers(self, event: Any) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.take(b"", is_end=True)

    def on_closed(self, event: Any) -> None:
        super().on_closed(event)
        stream = self.streams.pop(event.stream_id, None)
        if stream is not None:
            self.counters.rpcs -= 1
            self._close(stream)

    def on_pong(self, event: Any) -> None:
        if self.is_draining and event.opaque_data == _DRAIN_PING:
            self._name_last()

    # Inside

    def _opened(self, stream_id: int, pairs: Sequence[Header]) -> Stream:
        """Return the new stream, which may have its status already."""
        headers = dict(pairs)
        path = headers.get(b":path", b"")
        self.counters.rpcs += 1
        try:
            size = self._check(headers, pairs)
            self._owner.admit(path, headers, self.peer)
            deadline_s = self._deadline_s(headers)
        except RpcError as error:
            refused = self.streams[stream_id] = Refused(self, stream_id, error)
            return refused
        raw = self._owner.raw_handler(path)
        if raw is not None:
            stream: Stream = RawCall(self, stream_id, headers, deadline_s, raw)
            self.streams[stream_id] = stream
            stream.hold(_RAW_CALL_BYTES + size)
            return stream
        call = Call(self, stream_id, headers, deadline_s)
        self.streams[stream_id] = call
        call.hold(_CALL_BYTES + size)
        if not call.is_finished:
            self._owner.serve(call, path, pairs)
        return call

    def _check(self, headers: Mapping[bytes, bytes], pairs: Sequence[Header]) -> int:
        """Return the size of the headers. Raises RpcError: this is no call that could be served."""
        kind = headers.get(b"content-type", b"")
        is_grpc = kind == _GRPC_TYPE or kind.startswith(_GRPC_TYPES)
        if headers.get(b":method") != b"POST" or not is_grpc:
            raise _NotGrpc(Code.UNKNOWN)
        size = header_list_bytes(pairs)
        if size > self.limits.max_metadata_bytes:
            self.counters.metadata_too_large += 1
            text = f"the metadata is larger than {self.limits.max_metadata_bytes} bytes"
            raise RpcError(Code.RESOURCE_EXHAUSTED, text)
        if headers.get(b"grpc-encoding", b"identity") not in ENCODINGS:
            text = f"unknown grpc-encoding; this server reads {ACCEPTED.decode()}"
            raise RpcError(Code.UNIMPLEMENTED, text)
        if self.counters.rpcs > self.limits.max_concurrent_rpcs:
            self.counters.rpcs_refused += 1
            raise RpcError(Code.RESOURCE_EXHAUSTED, "too many calls at the same time")
        if self._is_unread:
            self.counters.rpcs_refused += 1
            raise RpcError(Code.RESOURCE_EXHAUSTED, "read the answers to earlier calls first")
        return size

    def _deadline_s(self, headers: Mapping[bytes, bytes]) -> float | None:
        timeout = headers.get(b"grpc-timeout")
        if timeout is None:
            return None
        try:
            return self.loop.time() + read_timeout_s(timeout)
        except ValueError as error:
            raise RpcError(Code.INTERNAL, str(error)) from error

    def _close(self, stream: Stream) -> None:
        try:
            stream.closed()
        except Exception:  # of a callback: the other streams go on
            log.exception("rpc_callback_failed", method=stream.headers.get(b":path"))
        stream.hold(-stream.held_bytes)

    def _ended(self, stream: Stream) -> None:
        self.guard.sent_data()
        if not stream.is_request_ended:
            self.reset_after_answer(stream.id)

    def _name_last(self) -> None:
        if not self._is_last_named:
            self._is_last_named = True
            self.send_goaway()
