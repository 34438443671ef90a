"""The time of day, passed to whoever needs it so that tests can choose it.

Pure. Never: read twice where one moment is meant.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]  # aware, UTC


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds since 1970."""
    return int(moment.timestamp() * 1000)
