"""The error of the privacy filter; a branch of the tree in `edged.errors`.

PlatformError
└── Withheld      nothing was released; `reason` is a word to count by

Runs in: the agent. Never: quotes what was withheld.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from edged.errors import PlatformError

Reason = Literal["malformed", "too_large", "too_deep", "egress", "filter_failed"]


class Withheld(PlatformError):
    """Raised instead of releasing. The caller sends nothing and counts `reason`."""

    code = "withheld"
    text = "the privacy filter released nothing: {reason}"

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason=reason)


@contextmanager
def failing_closed() -> Iterator[None]:
    """Turn every failure into Withheld, without the cause: its text may quote what is withheld."""
    try:
        yield
    except Withheld:
        raise
    except Exception:  # noqa: BLE001  whatever failed, the answer is to send nothing
        raise Withheld("filter_failed") from None
