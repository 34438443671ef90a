"""Whether a client has stopped reading what it was sent.

Runs in: the process of the server, once a second for each connection. Pure but for its own memory.
Never: ends one that has.
"""

from edged.rpc.limits import Limits


class Unread:
    """Of one connection. Times on the loop's clock."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self._unsent_bytes = 0  # at the last look
        self._since_s = now_s  # when it last shrank, or held nothing up

    def is_stalled(self, now_s: float, unsent_bytes: int, *, holds_up: bool) -> bool:
        """Return whether what is unsent holds something up, and did not shrink for too long."""
        if not holds_up or unsent_bytes < self._unsent_bytes:
            self._since_s = now_s
        self._unsent_bytes = unsent_bytes
        return now_s - self._since_s > self._limits.stalled_timeout_s
