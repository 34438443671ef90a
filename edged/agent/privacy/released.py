"""What the privacy filter lets out of one execution.

Pure values. Never: hold what the mode forbids; it is None.
"""

from dataclasses import dataclass, replace

from edged.agent.privacy.scrubbing import Erasure


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedOutput:
    """One output as it may leave. index: its place in the output schema's enum."""

    json: bytes | None
    index: int | None
    hash: bytes
    erased: tuple[Erasure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """One execution as it may leave; what the mode forbids is None."""

    input_json: bytes | None
    output_json: bytes | None
    output_index: int | None
    input_hash: bytes
    output_hash: bytes | None
    erased: tuple[Erasure, ...]

    def without_text(self) -> "Released":
        """Return what strict would have released: for a batch sealed before it was asked for."""
        return replace(self, input_json=None, output_json=None, erased=())
