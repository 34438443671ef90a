"""Count, by the defence that did it, why libnghttp2 ended a connection, and say so to the client.

Runs in: the process of the server. Pure but for the counters it moves and the log. Never: ends a
connection; what we end for its conduct is counted by the guard.
"""

from typing import Final

import structlog

from edged.rpc.limits import Counters

log = structlog.get_logger(__name__)

NO_ERROR: Final = 0
ENHANCE_YOUR_CALM: Final = 11
_INTERNAL_ERROR: Final = 2
_GOAWAY_CALM: Final = bytes.fromhex("00000807000000000000000000" + "0000000b")


class Endings:
    """Of one connection."""

    def __init__(self, counters: Counters) -> None:
        self.has_resets = False  # the client has reset a stream
        self._counters = counters

    def count_closed(self, code: int, debug_data: bytes) -> None:
        """Count what libnghttp2 ended by itself."""
        if code == NO_ERROR:
            return
        is_reset = self.has_resets and code == _INTERNAL_ERROR
        counter = "rapid_resets" if is_reset else "protocol_errors"
        self._count(counter, debug_data.decode("latin-1") or f"HTTP/2 error {code}")

    def count_broken(self, text: str, *, is_flood: bool) -> bytes:
        """Count a connection that libnghttp2 gave up; return what to send in its place.

        It says nothing any more. text: its reason.
        """
        counter = _counter_of(text, is_flood=is_flood)
        self._count(counter, text)
        return b"" if counter == "prefaces_missing" else _GOAWAY_CALM

    def _count(self, counter: str, error: str) -> None:
        setattr(self._counters, counter, getattr(self._counters, counter) + 1)
        log.info("connection_closed", reason=counter, error=error)


def _counter_of(text: str, *, is_flood: bool) -> str:
    if not is_flood:
        return "prefaces_missing" if "magic" in text else "protocol_errors"
    if "CONTINUATION" in text:
        return "continuation_floods"
    return "metadata_too_large" if "header" in text else "acknowledgement_floods"
