"""A plain listener between an edge and its home: keeps every byte on its way up, and reads it.

gRPC compresses: text that leaves is seldom there as it was written. What was heard is therefore
given out twice, as it came and as a server understands it: headers, and messages unpacked.
"""

from collections import defaultdict

import ngh2

from edged.rpc.framing import Assembler
from scripts.support.cable import Cable

_ANY_SIZE = 2**31 - 1


class Tap(Cable):
    """Carries everything to `target`, host:port; whoever connects to `address` is heard."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._raw: defaultdict[int, bytearray] = defaultdict(bytearray)

    def on_up(self, connection: int, content: bytes) -> None:
        self._raw[connection] += content

    @property
    def raw(self) -> bytes:
        return b"".join(self._raw.values())

    @property
    def understood(self) -> bytes:
        return b"\n".join(map(_understand, self._raw.values()))


def _understand(raw: bytearray) -> bytes:
    """Return the headers and the unpacked messages of one connection of HTTP/2."""
    server = ngh2.Connection(ngh2.Role.SERVER, ngh2.Configuration(auto_window_update=False))
    server.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: _ANY_SIZE})
    server.set_local_window_size(_ANY_SIZE)
    server.data_to_send(1 << 20)
    server.receive_data(bytes(raw))
    said: list[bytes] = []
    streams: dict[int, Assembler] = {}
    for event in server.events():
        if isinstance(event, ngh2.RequestReceived):
            headers = list(event.headers)
            said += [part for header in headers for part in header]
            encoding = dict(headers).get(b"grpc-encoding", b"identity")
            streams[event.stream_id] = Assembler(_ANY_SIZE, encoding)
        elif isinstance(event, ngh2.DataReceived):
            said += [message for message, _ in streams[event.stream_id].feed(event.data)]
    return b"\n".join(said)
