"""The time in an execution's id, read from its line without parsing it.

Pure. An id is a UUIDv7: it names the millisecond in which the call arrived (RFC 9562, 5.7).
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

ID_AT: Final = len(b'{"execution_id":"')  # the specification's first key, as records.render writes
ID_BYTES: Final = 36


def id_ms(execution_id: str) -> int | None:
    """Return when the call arrived, in ms since the epoch; None for what is no UUIDv7."""
    try:
        identifier = UUID(execution_id)
    except ValueError:
        return None
    return identifier.int >> 80 if identifier.version == 7 else None


def first_ms(lines: Iterable[bytes]) -> int:
    """Return the time in the first line that has one; 0 where none has."""
    return next((ms for line in lines if (ms := line_ms(line))), 0)


def line_ms(line: bytes) -> int:
    """Return the time in a line's id; 0 for a line that is no execution, which is read over."""
    try:
        return max(0, int(line[ID_AT : ID_AT + 8] + line[ID_AT + 9 : ID_AT + 13], 16))
    except ValueError:
        return 0
