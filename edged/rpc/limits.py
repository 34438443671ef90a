"""What a connection may do and hold, and how often each defence had to act.

Pure values. `options` reads the limits that have a name in gRPC.
"""

from dataclasses import dataclass, fields

KIB = 1024
MIB = 1024 * 1024
NEVER_S = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Working defaults for a daemon whose calls are short; times in seconds."""

    max_receive_message_bytes: int = 4 * MIB
    """After decompression; gRPC's default. Refused at the length prefix, before it is buffered."""
    max_send_message_bytes: int = 2**31 - 1
    max_metadata_bytes: int = 16 * KIB
    """Of one request's headers, as HTTP/2 counts them (32 bytes a field on top). Above it the call
    is refused; above four times this the connection ends."""
    max_concurrent_streams: int = 1_000
    """A connection's; told to the client."""
    max_concurrent_rpcs: int = 2**31 - 1
    """Over all connections; above it RESOURCE_EXHAUSTED."""
    max_connections: int = 4_000
    """About 30 KiB each, and three times that with TLS."""
    max_received_bytes: int = 32 * MIB
    """Calls that are open, over all connections: their headers, what of their requests is
    incomplete or waits for a handler, and what keeping them costs. Beyond it those requests are
    ended that hold most. Complete requests of raw methods are the handler's."""
    max_unsent_bytes: int = 4 * MIB
    """A connection's responses that its client does not read: its new calls are refused above
    this."""
    max_unsent_total_bytes: int = 32 * MIB
    """All connections': above it the one that holds most is closed."""
    stream_window_bytes: int = 256 * KIB
    """What a client may send on one stream before its handler reads."""
    handshake_timeout_s: float = 10.0
    """For TLS, and again for the first HTTP/2 frames."""
    keepalive_time_s: float = 30.0
    """Silence after which a client is asked whether it lives. A header block that never completes
    is silence too: nobody can answer in the middle of it."""
    keepalive_timeout_s: float = 10.0
    keepalive_without_calls: bool = True
    max_pings_without_data: int = 0
    """So often a client that is sent nothing is asked whether it lives; 0 for always."""
    max_connection_idle_s: float = NEVER_S
    max_connection_age_s: float = NEVER_S
    max_connection_age_grace_s: float = NEVER_S
    min_ping_interval_s: float = 10.0
    """Of a client that sends nothing else; sooner is a strike."""
    max_ping_strikes: int = 2
    max_settings_frames: int = 100
    """In ten seconds."""
    stalled_timeout_s: float = 30.0
    """For a client that holds `max_unsent_bytes` and reads nothing."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(f"{field.name} must not be negative")


@dataclass(slots=True)
class Counters:
    """Plain integers since the server was made; one for each defence, and what is open now."""

    connections: int = 0
    """Open now."""
    rpcs: int = 0
    """Open now."""
    connections_refused: int = 0
    connections_idle: int = 0
    connections_aged: int = 0
    handshakes_failed: int = 0
    handshakes_stalled: int = 0
    prefaces_missing: int = 0
    keepalives_unanswered: int = 0
    """Half-open connections, and header blocks that never complete."""
    ping_floods: int = 0
    settings_floods: int = 0
    acknowledgement_floods: int = 0
    """So many pings or settings at once that their answers alone fill memory."""
    rapid_resets: int = 0
    continuation_floods: int = 0
    protocol_errors: int = 0
    """Frames that HTTP/2 forbids, or more without any use than libnghttp2 bears."""
    metadata_too_large: int = 0
    messages_too_large: int = 0
    received_bytes_refused: int = 0
    """Requests that were ended because all together held too much."""
    rpcs_refused: int = 0
    stalled_readers: int = 0
