"""Requests out of the bytes of one HTTP/1.1 connection.

Runs in: the gateway, on its loop. Talks to: the parser. Never: answers, or knows a transport.

The parser of httptools cannot be stopped in the middle of what it is given, and keeps a field until
it is whole without a word. So it is given small pieces: between two of them reading may stop, and
what it keeps to itself is counted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import httptools

from edged.rpc.limits import Counters, Limits
from edged.rpc.peer import Peer

_PIECE_BYTES: Final = 1024  # holds at most 64 of the shortest requests
_FIELD_BYTES: Final = 32  # what a field costs beside its text, as HTTP/2 counts
_UNASKED_BYTES: Final = 4_096  # of a body, before its caller is looked at
UPLOAD_TIMEOUT_S: Final = 60.0  # for a whole request that keeps coming: the largest at 70 KB/s


@dataclass(slots=True)
class HttpRequest:
    """headers: lower-case names, the last of each. body: whole. size_bytes: as it is held."""

    method: bytes
    peer: Peer
    path: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    keeps_alive: bool = True
    size_bytes: int = 0


class Refused(Exception):
    """The client is to be told, and nothing more of it is read."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Reader:
    """Takes bytes as they come and gives each request as it completes."""

    def __init__(
        self,
        limits: Limits,
        counters: Counters,
        clock: Callable[[], float],
        take: Callable[[HttpRequest], None],
        check: Callable[[HttpRequest], None],
    ) -> None:
        """take: is given each request. check: is shown its head before a body that is not small.

        check raises Refused where that body is not to be read.
        """
        self.awaits_go_ahead = False  # the client sends its body when it is told to
        self.peer = Peer(address="")
        self.begun_s: float | None = None  # when the coming request began, if one did
        self._limits = limits
        self._counters = counters
        self._clock = clock
        self._take = take
        self._check = check
        self._parser = httptools.HttpRequestParser(self)
        self._unparsed = b""
        self._fed_s = 0.0  # when the last bytes came
        self._is_silent = False  # the parser took the piece without a word
        self._silent_bytes = 0  # taken so since it last spoke; may lack one piece
        self._begin()

    @property
    def has_more(self) -> bool:
        """Whether bytes wait for `read`."""
        return bool(self._unparsed)

    @property
    def held_bytes(self) -> int:
        """Of what is unparsed or incomplete."""
        return len(self._unparsed) + self._silent_bytes + self._metadata_bytes + self._body_bytes

    def feed(self, data: bytes) -> None:
        self._unparsed += data
        self._fed_s = self._clock()

    def read(self, has_room: Callable[[], bool]) -> None:
        """Parse what has come, while there is room for requests. Raises Refused."""
        rest, self._unparsed = memoryview(self._unparsed), b""
        while rest and has_room():
            size = max(_PIECE_BYTES, self._announced_bytes - self._body_bytes)
            taken = self._parse(rest[:size])
            rest = rest[taken:]
        self._unparsed = bytes(rest)

    def is_late(self, now_s: float) -> bool:
        """Tell whether the coming request takes too long: its head, its next byte, or all of it."""
        if self.begun_s is None:
            return False
        since_s = self._fed_s if self._has_headers else self.begun_s
        is_stalled = now_s - since_s > self._limits.handshake_timeout_s
        return is_stalled or now_s - self.begun_s > UPLOAD_TIMEOUT_S

    def restart_clock(self) -> None:
        """Give the coming request its whole time again: it could not come while nobody read."""
        if self.begun_s is not None:
            self.begun_s = self._fed_s = self._clock()

    def forget(self) -> None:
        """Let go of all that is held; nothing is read after this."""
        self._unparsed = b""
        self._silent_bytes = 0
        self._begin()

    # The parser

    def on_message_begin(self) -> None:
        self._is_silent = False
        self.begun_s = self._clock()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._add_metadata(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._add_metadata(len(name) + len(value) + _FIELD_BYTES)
        if not self._has_headers:  # a field behind the body was seen by no proxy before us
            self._coming.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._is_silent = False
        self._has_headers = True
        if self._parser.should_upgrade():
            return  # the head is read again without it
        headers = self._coming.headers
        if b"host" not in headers and self._parser.get_http_version() == "1.1":
            raise Refused(400, "host_missing", "a request of HTTP/1.1 needs the field Host")
        announced = headers.get(b"content-length", b"0")
        self._announced_bytes = int(announced) if announced.isdigit() else 0
        if self._announced_bytes > self._limits.max_receive_message_bytes:
            self._raise_body_too_large()
        self._coming.peer = self.peer
        if self._announced_bytes > _UNASKED_BYTES or b"transfer-encoding" in headers:
            self._check(self._coming)
        is_expecting = headers.get(b"expect", b"").lower() == b"100-continue"
        self.awaits_go_ahead = is_expecting and self._parser.get_http_version() == "1.1"

    def on_body(self, body: bytes) -> None:
        self._is_silent = False
        self.awaits_go_ahead = False
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.max_receive_message_bytes:
            self._raise_body_too_large()
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._is_silent = False
        if self._parser.should_upgrade():
            return
        request = self._coming
        request.method = self._parser.get_method()
        request.path = _path_of(self._url)
        request.body = b"".join(self._parts)
        request.keeps_alive = self._parser.should_keep_alive()
        request.size_bytes = self._metadata_bytes + self._body_bytes
        self._begin()
        self._take(request)

    # Inside

    def _begin(self) -> None:
        """Be ready for the next request."""
        self.begun_s = None
        self._url = b""
        self._parts: list[bytes] = []
        self._coming = HttpRequest(b"", self.peer)
        self._has_headers = False
        self.awaits_go_ahead = False
        self._announced_bytes = 0
        self._metadata_bytes = 0  # before and behind the body
        self._body_bytes = 0

    def _parse(self, piece: memoryview) -> int:
        """Return how much of it was taken; the parser takes nothing behind an offer to upgrade."""
        self._is_silent = True
        taken, is_offered = len(piece), False
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as offer:
            taken, is_offered = offer.args[0], True
        except httptools.HttpParserError as error:
            raise self._refusal(error.__context__) from error
        if is_offered:
            self._decline_offer()
        self._silent_bytes = self._silent_bytes + taken if self._is_silent else 0
        if self._silent_bytes > self._limits.max_metadata_bytes:
            self._raise_metadata_too_large()
        return taken

    def _decline_offer(self) -> None:
        """Have a new parser read the head again, without its offer to upgrade. Raises Refused.

        RFC 9110 lets a server go on as if there were none, while the parser believes that what
        follows is the other protocol's. Java's client and `curl --http2` offer h2c by default.
        """
        old, fields = self._parser, self._coming.headers
        if old.get_method() == b"CONNECT":
            raise Refused(501, "method_unknown", "this door makes no tunnels")
        fields[b"connection"] = b"keep-alive" if old.should_keep_alive() else b"close"
        version = old.get_http_version().encode()
        head = b"%b %b HTTP/%b\r\n" % (old.get_method(), self._url, version)
        head += b"".join(b"%b: %b\r\n" % field for field in fields.items())
        self._parser = httptools.HttpRequestParser(self)
        self._begin()
        self._parse(memoryview(head + b"\r\n"))

    def _refusal(self, cause: BaseException | None) -> Refused:
        """cause: what a callback of ours raised, if it was one."""
        if isinstance(cause, Refused):
            return cause
        self._counters.protocol_errors += 1
        return Refused(400, "http_malformed", "this is not an HTTP/1.1 request")

    def _add_metadata(self, count: int) -> None:
        self._is_silent = False
        self._metadata_bytes += count
        if self._metadata_bytes > self._limits.max_metadata_bytes:
            self._raise_metadata_too_large()

    def _raise_metadata_too_large(self) -> None:
        self._counters.metadata_too_large += 1
        raise Refused(431, "headers_too_large", "the headers are too large")

    def _raise_body_too_large(self) -> None:
        self._counters.messages_too_large += 1
        limit = self._limits.max_receive_message_bytes
        raise Refused(413, "body_too_large", f"the body is larger than {limit} bytes")


def _path_of(url: bytes) -> str:
    try:
        return httptools.parse_url(url).path.decode("ascii", "replace")
    except httptools.HttpParserInvalidURLError:
        return url.decode("latin-1")
