"""An edge reduced to its link: one HTTP/2 connection, Enroll and Connect, no agent behind it.

Runs in: scripts/bench, thousands in one process. Talks to: a control plane on loopback. Never:
executes, or keeps what it fetches.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import ngh2
from loopai.control.v1 import link_pb2 as pb

from edged.artifacts.signing import VerifyingKey

SERVICE = b"/loopai.control.v1.ControlPlaneService/"
PREFIX_BYTES = 5
WIDE_OPEN = 2**31 - 1


class LightEdge(asyncio.Protocol):
    """Enrols when the connection stands, connects, and fetches every version that is pushed."""

    def __init__(self, key: str, name: str, told: Callable[[str], None]) -> None:
        """told: is called with `state` and `fetched` as they happen, and with what went wrong."""
        self._key = key
        self._name = name
        self._told = told
        self._h2 = ngh2.Connection(ngh2.Role.CLIENT)
        self._received: dict[int, bytearray] = {}
        self._connect_stream = 0
        self._home: VerifyingKey
        self._heartbeat: asyncio.TimerHandle | None = None
        self._is_leaving = False

    @classmethod
    async def open(
        cls,
        address: str,
        tls: ssl.SSLContext | None,
        key: str,
        name: str,
        told: Callable[[str], None],
    ) -> "LightEdge":
        host, _, port = address.rpartition(":")
        _, edge = await asyncio.get_running_loop().create_connection(
            lambda: cls(key, name, told), host, int(port), ssl=tls
        )
        return edge

    def close(self) -> None:
        self._is_leaving = True
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._h2.initiate_connection({})
        self._h2.set_local_window_size(WIDE_OPEN)
        stream = self._call(b"Enroll")
        self._send(stream, pb.EnrollRequest(name=self._name).SerializeToString(), is_last=True)

    def data_received(self, data: bytes) -> None:
        self._h2.receive_data(data)
        for event in self._h2.events():
            if isinstance(event, ngh2.DataReceived):
                self._take(event.stream_id, event.data)
            elif isinstance(event, ngh2.StreamClosed) and event.stream_id == self._connect_stream:
                self._told("the stream was ended")
        self._transport.write(self._h2.data_to_send())

    def connection_lost(self, error: Exception | None) -> None:
        if not self._is_leaving:
            self._told(f"the connection was lost: {error}")

    def _call(self, method: bytes) -> int:
        return self._h2.send_request(
            [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", SERVICE + method),
                (b":authority", b"localhost"),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
                (b"authorization", b"Bearer " + self._key.encode()),
            ]
        )

    def _send(self, stream: int, message: bytes, *, is_last: bool = False) -> None:
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        self._h2.send_data(stream, framed, end_stream=is_last)
        self._transport.write(self._h2.data_to_send())

    def _take(self, stream: int, data: bytes) -> None:
        """Cut messages out of what came."""
        received = self._received.setdefault(stream, bytearray())
        received += data
        while len(received) >= PREFIX_BYTES:
            end = PREFIX_BYTES + int.from_bytes(received[1:PREFIX_BYTES], "big")
            if len(received) < end:
                return
            message = bytes(received[PREFIX_BYTES:end])
            del received[:end]
            if stream == self._connect_stream:
                self._answer(pb.ConnectResponse.FromString(message))
            else:
                self._connect(pb.EnrollResponse.FromString(message))

    def _connect(self, enrolled: pb.EnrollResponse) -> None:
        self._home = VerifyingKey.from_bytes(enrolled.signing_public_key)
        self._connect_stream = self._call(b"Connect")
        hello = pb.Hello(deployment_id=enrolled.deployment_id, instance_id=self._name)
        self._say(pb.ConnectRequest(hello=hello))

    def _say(self, message: pb.ConnectRequest) -> None:
        self._send(self._connect_stream, message.SerializeToString())

    def _answer(self, message: pb.ConnectResponse) -> None:
        kind = message.WhichOneof("message")
        if kind == "welcome":
            self._beat(message.welcome.heartbeat_interval_s)
        elif kind == "state":
            self._told("state")
            self._fetch(message.state.envelope)
        elif kind == "artifact_chunk" and message.artifact_chunk.is_last:
            self._told("fetched")

    def _beat(self, interval_s: int) -> None:
        """Say that all is well, as an edge does, or the control plane would end the stream."""
        self._heartbeat = asyncio.get_running_loop().call_later(interval_s, self._beat, interval_s)
        self._say(pb.ConnectRequest(status=pb.EdgeStatus()))

    def _fetch(self, envelope: bytes) -> None:
        state = pb.DesiredState.FromString(self._home.open_state(envelope))
        for task in state.tasks:
            request = pb.ArtifactRequest(digest=task.stable.digest)
            self._say(pb.ConnectRequest(artifact_request=request))
