"""What answers HTTP requests, and the bytes of an answer.

Runs in: the gateway. Never: knows a connection.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from edged.gateway.http_reader import HttpRequest

JSON: Final = b"application/json"
_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Respond = Callable[[Answer], None]


class Door(Protocol):
    """What answers requests."""

    def check(self, request: HttpRequest) -> None:
        """Raise Refused when a body that this request announces is not to be read."""
        ...

    def answer(self, request: HttpRequest, respond: Respond) -> None:
        """Call `respond` exactly once, now or later."""
        ...

    def refuse(self, status: int, code: str, message: str) -> Answer: ...


def render(answer: Answer, *, keeps_alive: bool, is_head: bool) -> bytes:
    """Return an answer's bytes."""
    parts = [
        _STATUS_LINES[answer.status],
        b"content-type: %b\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body)),
        *(b"%b: %b\r\n" % header for header in answer.headers),
        b"" if keeps_alive else b"connection: close\r\n",
        b"\r\n",
        b"" if is_head else answer.body,
    ]
    return b"".join(parts)
