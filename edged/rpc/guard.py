"""Is a connection alive, and does it behave? Time in, verdict out.

Runs in: the process of the server. Pure but for its own memory and the counters it moves. Never:
touches the transport.
"""

from collections import deque
from enum import Enum, auto
from typing import Final

from edged.rpc.limits import Counters, Limits
from edged.rpc.unread import Unread

_SETTINGS_WINDOW_S: Final = 10.0


class Verdict(Enum):
    """What a connection has to do now."""

    NOTHING = auto()
    PING = auto()
    DRAIN = auto()
    SAY_LAST = auto()  # the client did not answer the drain's ping: name the last stream unasked
    ABORT = auto()


class Guard:
    """One connection's conduct. Times on the loop's clock."""

    def __init__(self, limits: Limits, counters: Counters, now_s: float) -> None:
        self.heard_s = now_s
        """When the last whole frame came. Bytes alone prove nothing: a header block that is sent a
        byte at a time never completes, and nothing else can be sent before it does."""
        self._limits = limits
        self._counters = counters
        self._opened_s = now_s
        self._is_greeted = False
        self._pinged_s: float | None = None
        self._drained_s: float | None = None
        self._idle_since_s: float | None = now_s
        self._settings_s: deque[float] = deque(maxlen=limits.max_settings_frames)
        self._last_ping_s = -1e9
        self._ping_strikes = 0
        self._pings_sent = 0  # since there was data
        self._unread = Unread(limits, now_s)

    # What the client did; False means: too often

    def got_settings(self, now_s: float) -> bool:
        self._is_greeted = True
        times = self._settings_s
        is_flood = len(times) == times.maxlen and now_s - times[0] < _SETTINGS_WINDOW_S
        times.append(now_s)
        self._counters.settings_floods += is_flood
        return not is_flood

    def got_ping(self, now_s: float) -> bool:
        is_strike = now_s - self._last_ping_s < self._limits.min_ping_interval_s
        self._last_ping_s = now_s
        self._ping_strikes += is_strike
        is_flood = self._ping_strikes > self._limits.max_ping_strikes
        self._counters.ping_floods += is_flood
        return not is_flood

    def sent_data(self) -> None:
        """A client that is sent data may ping as it likes: it measures its way to us."""
        self._ping_strikes = 0
        self._pings_sent = 0

    def got_pong(self) -> None:
        self._pinged_s = None

    def judge(
        self, now_s: float, *, has_calls: bool, unsent_bytes: int, is_draining: bool
    ) -> Verdict:
        """Return what to do; called about once a second."""
        return (
            self._judge_silence(now_s, has_calls=has_calls)
            or self._judge_reader(now_s, unsent_bytes)
            or self._judge_age(now_s, has_calls=has_calls, is_draining=is_draining)
            or Verdict.NOTHING
        )

    def _judge_silence(self, now_s: float, *, has_calls: bool) -> Verdict | None:
        limits, counters = self._limits, self._counters
        if not self._is_greeted:
            if now_s - self._opened_s <= limits.handshake_timeout_s:
                return None
            counters.prefaces_missing += 1
            return Verdict.ABORT
        silent_s = now_s - self.heard_s
        if self._pinged_s is not None and self.heard_s >= self._pinged_s:
            self._pinged_s = None  # whatever came, it lives
        if self._pinged_s is not None:
            if now_s - self._pinged_s <= limits.keepalive_timeout_s:
                return None
            counters.keepalives_unanswered += 1
            return Verdict.ABORT
        may_ping = has_calls or limits.keepalive_without_calls
        if silent_s > limits.keepalive_time_s and may_ping and not self._has_pinged_enough:
            self._pinged_s = now_s
            self._pings_sent += 1
            return Verdict.PING
        return None

    @property
    def _has_pinged_enough(self) -> bool:
        most = self._limits.max_pings_without_data
        return 0 < most <= self._pings_sent

    def _judge_reader(self, now_s: float, unsent_bytes: int) -> Verdict | None:
        """A client that leaves more unread than it may, and none of it less than before, goes."""
        is_too_much = unsent_bytes > self._limits.max_unsent_bytes
        if not self._unread.is_stalled(now_s, unsent_bytes, holds_up=is_too_much):
            return None
        self._counters.stalled_readers += 1
        return Verdict.ABORT

    def _judge_age(self, now_s: float, *, has_calls: bool, is_draining: bool) -> Verdict | None:
        limits = self._limits
        if is_draining:
            return self._judge_drain(now_s)
        if now_s - self._opened_s > limits.max_connection_age_s:
            self._counters.connections_aged += 1
            return Verdict.DRAIN
        if has_calls:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = now_s
        elif now_s - self._idle_since_s > limits.max_connection_idle_s:
            self._counters.connections_idle += 1
            return Verdict.DRAIN
        return None

    def _judge_drain(self, now_s: float) -> Verdict | None:
        if self._drained_s is None:
            self._drained_s = now_s
        waited_s = now_s - self._drained_s
        if waited_s > self._limits.max_connection_age_grace_s:
            return Verdict.ABORT
        return Verdict.SAY_LAST if waited_s > self._limits.keepalive_timeout_s else None
