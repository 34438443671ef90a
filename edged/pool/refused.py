"""Read what a worker says of a program that it refuses.

Pure. Never: trusts it; a worker may have been taken over.
"""

import json
from typing import Any

from edged.sandbox.frames import FrameMalformed
from edged.sandbox.refusals import ProgramRefused, Refusal


def read_refused(text: bytes) -> ProgramRefused:
    """Raise FrameMalformed when this is not what a worker says."""
    try:
        return ProgramRefused(tuple(_refusal(fields) for fields in json.loads(text)))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise FrameMalformed from error


def _refusal(fields: dict[str, Any]) -> Refusal:
    return Refusal(
        line=int(fields["line"]),
        column=int(fields["column"]),
        what=str(fields["what"]),
        instead=str(fields["instead"]),
    )
