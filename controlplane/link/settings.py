"""Where the link listens and how it behaves: intervals, sizes, lifetimes. Pure."""

from dataclasses import dataclass
from typing import Literal

from edged.rpc.tls import Tls

RpcServer = Literal["ngh2", "grpcio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDoor:
    """The port that edges connect to."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    rpc_server: RpcServer = "ngh2"
    """Ours on libnghttp2, or the reference."""
    tls: Tls | None = None

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """Defaults for a fleet of about a thousand edges a server."""

    hello_timeout_s: float = 10.0
    """A connection that does not say who it is may not hold a place."""
    heartbeat_interval_s: int = 15
    """Told to every edge; three missed ones close the connection."""
    max_message_bytes: int = 8 * 1024 * 1024
    """Both ways, after decompression; a telemetry batch is about 1 MB at most."""
    max_telemetry_bytes: int = 4 * 1024 * 1024
    """Told to every edge; half the message limit leaves room for what grows."""
    upload_interval_s: int = 0
    """Told to every edge: close telemetry batches at this age; 0 leaves it to the edge."""
    batches_per_s: int = 20
    """Told to every edge: a fleet that was cut off for days must not come back all at once."""
    chunk_bytes: int = 64 * 1024
    """An artifact's piece: small enough that a state or an acknowledgement is never long behind,
    and that a thousand edges which fetch at the same time hold little memory."""
    state_lifetime_s: float = 7 * 24 * 3600.0
    """Bars the acceptance of an old state only; an accepted one serves for ever."""
    max_connections: int = 2_000
    """Beyond it an edge is told to come back later."""
    retry_after_ms: int = 30_000
    """Told to an edge that found the server full."""

    def __post_init__(self) -> None:
        if self.upload_interval_s < 0 or self.batches_per_s < 0:
            raise ValueError("upload_interval_s and batches_per_s must not be negative")
        if self.max_telemetry_bytes > self.max_message_bytes:
            raise ValueError("max_telemetry_bytes exceeds max_message_bytes")
